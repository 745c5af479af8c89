import { type AgentEvent, messageOf, type Signal } from "@afterstate/core";
import { readHint, readReward } from "../signals/read-signals.js";
import type { CorrectionAttribution, HintReader, StepJudge } from "../types.js";
import type { FoldedEpisode, FoldedStep } from "./episode-fold.js";

/** A step with what was learned about it. */
export interface JudgedStep extends FoldedStep {
  /** Feedback before a verifier before a judge; undefined when nobody said anything. */
  readonly reward: number | undefined;
  /** Whether the reward says anything: a judge's 0 does not. */
  readonly evidence: boolean;
  readonly hints: readonly string[];
}

/** An episode with what was learned about it. */
export interface JudgedEpisode extends FoldedEpisode {
  readonly steps: readonly JudgedStep[];
}

/**
 * Judges every next state of an episode and reads its hints. Signals that the log already has are taken as they are; new
 * ones go to `emit`, under an id made of step, next state and kind, so that none is ever emitted twice.
 */
export async function judgeEpisode(
  episode: FoldedEpisode,
  readers: {
    readonly judge: StepJudge;
    readonly hintReader: HintReader | undefined;
    readonly readsHints: boolean;
    readonly attribution?: CorrectionAttribution | undefined;
  },
  hooks: {
    readonly now: () => number;
    readonly emit: (event: AgentEvent) => Promise<void>;
    readonly onFailure: (code: string, message: string) => Promise<unknown>;
  },
): Promise<JudgedEpisode> {
  const steps: JudgedStep[] = [];
  const { episodeId, userId } = episode;
  for (const step of episode.steps) {
    const signals = new Map(step.signalIds);
    for (const [index, nextState] of step.nextStates.entries()) {
      const request = { messages: step.messages, response: step.response, nextState };
      const attributed = async (signal: Signal): Promise<Signal> => {
        if (signal.kind !== "hint" || readers.attribution === undefined) return signal;
        const correction = { hint: signal.text, episodeId, request, hasWeights: step.tokens !== undefined };
        const attribution = readers.attribution.attribute({ ...correction, ...(userId !== undefined && { userId }) });
        return { ...signal, attribution: await attribution };
      };
      const readings = [
        { kind: "reward", read: () => readReward(readers.judge, request) },
        { kind: "hint", read: async () => (readers.readsHints ? readHint(readers.hintReader, request) : undefined) },
      ];
      for (const { kind, read } of readings) {
        const id = `${step.of.episodeId}#signal-${step.of.stepIndex}-${index}-${kind}`;
        if (signals.has(id)) continue;
        const found = await read().catch(async (cause): Promise<Signal | undefined> => {
          await hooks.onFailure("judge/failed", `reading the ${kind} of a step failed: ${messageOf(cause)}`);
          return undefined;
        });
        if (found === undefined) continue;
        const signal = await attributed(found);
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
      }
    }
    steps.push({ ...step, signals: [...signals.values()], ...weigh([...signals.values()]) });
  }
  return { ...episode, steps };
}

/** The value that judges the whole episode: that of its last step with evidence. Undefined when there is none. */
export function episodeReward(episode: JudgedEpisode): number | undefined {
  return episode.steps.findLast(({ evidence }) => evidence)?.reward;
}

function weigh(signals: readonly Signal[]): Pick<JudgedStep, "reward" | "evidence" | "hints"> {
  const rewards = signals.filter((signal) => signal.kind === "reward" && Number.isFinite(signal.value));
  const rank = ({ source }: Signal) => (source === "feedback" ? 2 : source.startsWith("verifier:") ? 1 : 0);
  const deciding = rewards.reduce<Signal | undefined>(
    (best, signal) => (best === undefined || rank(signal) >= rank(best) ? signal : best),
    undefined,
  );
  const hints = [...new Set(signals.flatMap(forWeights))];
  if (deciding?.kind !== "reward" || (deciding.value < 0 && hints.length === 0 && signals.some(isNoFault)))
    return { reward: undefined, evidence: false, hints };
  return { reward: deciding.value, evidence: deciding.value !== 0 || rank(deciding) === 1, hints };
}

/** What a hint says that the weights are to absorb: all of it, unless parts belong elsewhere. */
function forWeights(signal: Signal): readonly string[] {
  if (signal.kind !== "hint") return [];
  if (signal.attribution === undefined) return [signal.text];
  return signal.attribution.parts.flatMap(({ text, layer }) => (layer === "weights" ? [text] : []));
}

/** Whether a user was displeased for nothing but what belongs elsewhere: that does not make the policy worse for all others. */
function isNoFault(signal: Signal): boolean {
  return signal.kind === "hint" && signal.attribution?.isWholeReason === true;
}
