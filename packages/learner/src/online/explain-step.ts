import type { Signal, StepRef } from "@afterstate/core";
import { meanOf } from "../credit/running-mean.js";
import { stateKeyOf } from "../credit/step-credit.js";
import type { BatchRecord } from "../versions/batch-record.js";
import { type JudgedStep, judgedBefore } from "./judged-episode.js";
import type { StepExplanation, StepFate } from "./learner-answers.js";
import type { LearnerParts } from "./learner-parts.js";
import { batchAgain, episodesOf } from "./recorded-batch.js";

/** Explains one step from the log and the records of batches. Reads the whole log. */
export async function explainStep(parts: LearnerParts, of: StepRef): Promise<StepExplanation> {
  const record = await recordOf(parts, of.episodeId);
  if (record === undefined) return explainWaiting(parts, of);
  const episodes = await episodesOf(parts.options.log, [record]);
  const episode = episodes.get(of.episodeId);
  const ids = record.episodes.find(({ episodeId }) => episodeId === of.episodeId)!.signals;
  const step = episode && judgedBefore(episode, ids).steps.find((step) => step.of.stepIndex === of.stepIndex);
  if (step === undefined) return { of, signals: [], reward: undefined, hints: [], fate: { state: "unknown" } };
  const { update } = record;
  const { encodePrompt } = parts.options.policy;
  const again = update && (await batchAgain({ ...record, update }, episodes, encodePrompt));
  const sample = again?.batch.samples.find(isOf(of));
  return {
    ...judgementOf(step, sample?.teacherPromptIds !== undefined),
    ...(sample && {
      credit: {
        advantages: sample.advantages,
        value: meanOf(update!.credit.values[stateKeyOf(step.messages)], 0),
      },
    }),
    fate: fateIn(record, of, parts),
  };
}

async function recordOf({ ledger }: LearnerParts, episodeId: string): Promise<BatchRecord | undefined> {
  for await (const record of ledger.batches())
    if (record.episodes.some((episode) => episode.episodeId === episodeId)) return record;
  return undefined;
}

async function explainWaiting({ options, ledger }: LearnerParts, of: StepRef): Promise<StepExplanation> {
  const signals: Signal[] = [];
  let [start, isThere] = [-1, false];
  for await (const { event, offset } of options.log.read(0)) {
    if (event.type === "episode-start" && event.episodeId === of.episodeId) start = offset;
    if (event.type === "action" && isOf(of)({ of: event })) isThere = true;
    if (event.type === "signal" && isOf(of)(event)) signals.push(event.signal);
  }
  const state = !isThere ? "unknown" : ledger.isConsumed(of.episodeId, start) ? "before" : "waiting";
  return { of, signals, reward: undefined, hints: hintsOf(signals, []), fate: { state } };
}

function judgementOf({ of, signals, reward, hints }: JudgedStep, taught: boolean) {
  return { of, signals, reward, hints: hintsOf(signals, taught ? hints : []) };
}

function hintsOf(signals: readonly Signal[], taught: readonly string[]): StepExplanation["hints"] {
  return signals.flatMap((signal) => {
    if (signal.kind !== "hint") return [];
    const { text, rejected } = signal;
    return [{ text, taught: taught.includes(text), ...(rejected !== undefined && { rejected }) }];
  });
}

function fateIn({ sequence, dropped, update }: BatchRecord, of: StepRef, { ledger }: LearnerParts): StepFate {
  const reason = dropped.find(isOf(of))?.reason;
  if (reason !== undefined || update === undefined)
    return { state: "dropped", batch: sequence, reason: reason ?? "failedUpdate" };
  const { candidate, accepted, promoted } = update;
  const { version, ancestors } = ledger.pointer;
  const inServingVersion = version === candidate || ancestors.includes(candidate);
  const served = promoted || inServingVersion;
  return { state: "trained", batch: sequence, candidate, accepted, promoted: served, inServingVersion };
}

const isOf =
  ({ episodeId, stepIndex }: StepRef) =>
  ({ of }: { readonly of: StepRef }) =>
    of.episodeId === episodeId && of.stepIndex === stepIndex;
