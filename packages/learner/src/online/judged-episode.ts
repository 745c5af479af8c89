import { type AgentEvent, messageOf, type NextState, type Signal, type ToolDefinition } from "@afterstate/core";
import type { CostSignal } from "../signals/cost-signal.js";
import type { HintAcceptance } from "../signals/hint-acceptance.js";
import { readGuess, readHint, readReward, readVerdict } from "../signals/read-signals.js";
import { COST, type Weighed, weighSignals } from "../signals/weigh-signals.js";
import type { CorrectionAttribution, HintReader, JudgeRequest, StepJudge, Verifier } from "../types.js";
import { beforeReaction } from "./before-reaction.js";
import type { FoldedEpisode, FoldedStep } from "./episode-fold.js";

/** A step with what was learned about it. */
export interface JudgedStep extends FoldedStep, Weighed {}

/** An episode with what was learned about it. */
export interface JudgedEpisode extends FoldedEpisode {
  readonly steps: readonly JudgedStep[];
}

/** Who reads the signals of a step. */
export interface SignalReaders {
  readonly judge: StepJudge;
  readonly verifiers?: readonly Verifier[];
  readonly cost?: CostSignal;
  /** Asked about steps that the others say nothing of. */
  readonly head?: StepJudge;
  readonly hintReaders: readonly HintReader[];
  readonly readsHints: boolean;
  readonly hintAcceptance?: HintAcceptance;
  readonly attribution?: CorrectionAttribution;
  /** Tools in the prompts that the policy saw. */
  readonly tools: readonly ToolDefinition[];
}

/** A signal to read, under the end of its id. */
interface Reading {
  readonly name: string;
  readonly read: () => Signal | undefined | Promise<Signal | undefined>;
}

/**
 * Reads the signals of every next state of an episode. Signals that the log already has are taken as they are; new
 * ones go to `emit`, under an id made of step, next state and kind, so that none is ever emitted twice.
 */
export async function judgeEpisode(
  episode: FoldedEpisode,
  readers: SignalReaders,
  hooks: {
    readonly now: () => number;
    readonly emit: (event: AgentEvent) => Promise<void>;
    readonly onFailure: (code: string, message: string) => Promise<unknown>;
  },
): Promise<JudgedEpisode> {
  const steps: JudgedStep[] = [];
  for (const step of episode.steps) {
    const signals = new Map(step.signalIds);
    const take = async ({ name, read }: Reading) => {
      const id = `${step.of.episodeId}#signal-${step.of.stepIndex}-${name}`;
      if (signals.has(id)) return;
      let signal: Signal | undefined;
      try {
        signal = await read();
      } catch (cause) {
        await hooks.onFailure("judge/failed", `reading the signal ${name} of a step failed: ${messageOf(cause)}`);
      }
      if (signal === undefined) return;
      signals.set(id, signal);
      await hooks.emit({
        id,
        time: hooks.now(),
        sessionId: episode.sessionId,
        episodeId: episode.episodeId,
        stepIndex: step.of.stepIndex,
        policyVersion: step.policyVersion,
        type: "signal",
        of: step.of,
        signal,
      });
    };
    for (const reading of rewardReadings(step, readers)) await take(reading);
    const { evidence } = weighSignals([...signals.values()]);
    const { head } = readers;
    if (!evidence && head !== undefined)
      await take({ name: "head", read: () => readGuess(head, beforeReaction(step)) });
    const { reward } = weighSignals([...signals.values()]);
    if (readers.readsHints)
      for (const reading of hintReadings(step, reward, readers, episode.userId)) await take(reading);
    steps.push(judgedStep(step, signals));
  }
  return { ...episode, steps };
}

/** An episode as the signals of these ids judged it; nothing is judged anew. */
export function judgedBefore(episode: FoldedEpisode, signalIds: Iterable<string>): JudgedEpisode {
  const ids = [...signalIds];
  const steps = episode.steps.map((step) => {
    const counted = ids.flatMap((id) => {
      const signal = step.signalIds.get(id);
      return signal === undefined ? [] : [[id, signal] as const];
    });
    return judgedStep(step, new Map(counted));
  });
  return { ...episode, steps };
}

function judgedStep(step: FoldedStep, signalIds: ReadonlyMap<string, Signal>): JudgedStep {
  const signals = [...signalIds.values()];
  return { ...step, signals, signalIds, ...weighSignals(signals) };
}

/** The value that judges the whole episode: that of its last step with evidence. Undefined when there is none. */
export function episodeReward(episode: JudgedEpisode): number | undefined {
  return episode.steps.findLast(({ evidence }) => evidence)?.reward;
}

function rewardReadings(step: FoldedStep, { judge, verifiers = [], cost }: SignalReaders): readonly Reading[] {
  const readings = step.nextStates.flatMap((nextState, index): Reading[] => [
    ...apart(nextState).map((one, result, { length }) => ({
      name: `${index}-reward${length > 1 ? `-${result}` : ""}`,
      read: () => readReward(judge, requestOf(step, one)),
    })),
    ...verifiers.map((verifier) => ({
      name: `${index}-verifier:${verifier.name}`,
      read: () => readVerdict(verifier, requestOf(step, nextState)),
    })),
  ]);
  const { cost: spent } = step;
  if (cost === undefined || spent === undefined) return readings;
  const shaping = (): Signal => ({ kind: "reward", source: COST, value: cost(spent), reliability: 1 });
  return [...readings, { name: COST, read: shaping }];
}

/** A hint that is measured and found to do no good stays in the log, with the reason. */
function hintReadings(
  step: FoldedStep,
  reward: number | undefined,
  readers: SignalReaders,
  userId: string | undefined,
): readonly Reading[] {
  const { hintReaders, hintAcceptance, attribution, tools } = readers;
  return step.nextStates.flatMap((nextState, index) =>
    (nextState.kind === "feedback" ? [undefined] : hintReaders).map((reader, place) => ({
      name: `${index}-hint${place > 0 ? `-${place}` : ""}`,
      async read() {
        const request = { tools, ...requestOf(step, nextState) };
        const found = await readHint(reader, request);
        if (found?.kind !== "hint") return found;
        const correction = {
          hint: found.text,
          episodeId: step.of.episodeId,
          request,
          hasWeights: step.tokens !== undefined,
        };
        const whose = await attribution?.attribute({ ...correction, ...(userId !== undefined && { userId }) });
        const hint = { ...found, ...(whose && { attribution: whose }) };
        if (hintAcceptance === undefined) return hint;
        const { messages, guidance, tokens } = step;
        const seen = { messages, ...(guidance !== undefined && { guidance }), ...(tokens && { tokens }) };
        const about = { ...seen, tools, hint: hint.text, reward };
        return { ...hint, ...(await hintAcceptance.measure(about).catch(() => ({}))) };
      },
    })),
  );
}

/** Parallel results are judged one by one: none hides another. */
function apart(nextState: NextState): readonly NextState[] {
  if (nextState.kind !== "tool" || nextState.results.length < 2) return [nextState];
  return nextState.results.map((result) => ({ kind: "tool", results: [result] }));
}

function requestOf({ messages, response, kind, tokens, tools }: FoldedStep, nextState: NextState): JudgeRequest {
  return { messages, response, nextState, kind, ...(tokens && { tokens }), ...(tools && { tools }) };
}
