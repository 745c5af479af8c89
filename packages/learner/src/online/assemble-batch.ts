import { createRandom, type ToolDefinition, withGuidance } from "@afterstate/core";
import { spreadOverTokens } from "../credit/spread.js";
import { type CreditOptions, type CreditState, creditEpisodes, stateKeyOf } from "../credit/step-credit.js";
import type { PolicyRuntime, TrainingSample } from "../types.js";
import type { JudgedEpisode, JudgedStep } from "./judged-episode.js";

/** Credit below it is what rounding leaves of 0. */
const ROUNDING = 1e-9;

/** Which signals train: rewards by credit, hints by distillation, or both. */
export type LearningSignals = "reward" | "hints" | "hybrid";

/** What a batch is made with. */
export interface BatchOptions {
  readonly signals: LearningSignals;
  readonly credit: CreditOptions;
  /** Votes are permuted among the judged steps of the batch and hints left out: what then still gets better was not learned from reactions. */
  readonly shuffledVotes: boolean;
  readonly seed: number;
  /** How many versions behind the serving one a sample is. */
  readonly staleness: (policyVersion: string) => number;
  readonly maxStaleness: number;
  /** How many evolutions of learned text there have been: an episode from before the last gave rise to it, and trains nothing after it. */
  readonly generation: number;
  readonly encodePrompt: PolicyRuntime["encodePrompt"];
  readonly tools: readonly ToolDefinition[];
}

/** The samples of a batch of episodes, and what was left out. */
export interface Batch {
  readonly samples: readonly (TrainingSample & { readonly offset: number })[];
  readonly credit: CreditState;
  /** Samples that were too old or ill-formed, or of older text. */
  readonly dropped: number;
  /** Those of them from before the last evolution of learned text. */
  readonly ofOlderText: number;
  readonly withoutTokens: number;
  /** Hinted steps whose prompt could not be built again token by token, and so have no teacher. */
  readonly withoutTeacher: number;
}

/** Whether an episode says anything that the policy can be trained on. */
export function isInformative(episode: JudgedEpisode, signals: LearningSignals): boolean {
  const trainable = episode.steps.some(({ tokens }) => tokens !== undefined);
  const rewarded = signals !== "hints" && episode.steps.some(({ evidence }) => evidence);
  const hinted = signals !== "reward" && episode.steps.some(({ hints }) => hints.length > 0);
  return trainable && (rewarded || hinted);
}

/**
 * Turns judged episodes into training samples. Steps with neither credit nor hint are left out. A hint goes to all steps of
 * its episode since the user's last message, for it is that request that should have been answered otherwise.
 */
export function assembleBatch(episodes: readonly JudgedEpisode[], state: CreditState, options: BatchOptions): Batch {
  const rewards = rewardsOf(episodes, options);
  const credited = creditEpisodes(
    episodes.map(({ steps }, i) =>
      steps.map(({ kind, messages }, k) => ({ kind, stateKey: stateKeyOf(messages), reward: rewards[i]![k] })),
    ),
    state,
    options.credit,
  );
  const samples: (TrainingSample & { offset: number })[] = [];
  let dropped = 0;
  let ofOlderText = 0;
  let withoutTokens = 0;
  let withoutTeacher = 0;
  for (const [i, { steps, offset, generation }] of episodes.entries()) {
    const hint = options.signals === "reward" || options.shuffledVotes ? "" : hintOf(steps);
    for (const [k, step] of steps.entries()) {
      if (step.tokens === undefined) {
        withoutTokens++;
        continue;
      }
      const credit = options.signals === "hints" ? 0 : credited.advantages[i]![k]!;
      const advantage = Math.abs(credit) < ROUNDING ? 0 : credit;
      if (advantage === 0 && hint === "") continue;
      if (generation < options.generation) {
        ofOlderText++;
        continue;
      }
      if (options.staleness(step.policyVersion) > options.maxStaleness || !isWellFormed(step)) {
        dropped++;
        continue;
      }
      const teacherPromptIds = hint === "" ? undefined : teacherPrompt(step, hint, options);
      if (hint !== "" && teacherPromptIds === undefined) withoutTeacher++;
      if (advantage === 0 && teacherPromptIds === undefined) continue;
      samples.push({
        of: step.of,
        offset,
        policyVersion: step.policyVersion,
        tokens: step.tokens,
        advantages: spreadOverTokens(advantage, step.tokens.mask),
        ...(teacherPromptIds && { teacherPromptIds }),
      });
    }
  }
  return {
    samples,
    credit: credited.state,
    dropped: dropped + ofOlderText,
    ofOlderText,
    withoutTokens,
    withoutTeacher,
  };
}

/**
 * The rewards that credit is computed from. A step without evidence counts 0 while the episode went on (what it led to is
 * credited by V) and as unknown at its end; an episode without any evidence is unknown throughout.
 */
function rewardsOf(episodes: readonly JudgedEpisode[], options: BatchOptions): (number | undefined)[][] {
  const judged = episodes.flatMap(({ steps }) => steps.filter(({ evidence }) => evidence));
  const votes = judged.map(({ reward }) => reward);
  // Only among steps that were judged: a vote on a step that had none would tell long episodes from short ones.
  if (options.shuffledVotes) shuffle(votes, options.seed);
  const given = new Map(judged.map((step, index) => [step, votes[index]]));
  return episodes.map(({ steps }) => {
    if (!steps.some(({ evidence }) => evidence)) return steps.map(() => undefined);
    return steps.map((step, k) => (given.has(step) ? given.get(step) : k < steps.length - 1 ? 0 : undefined));
  });
}

function hintOf(steps: readonly JudgedStep[]): string {
  return [...new Set(steps.flatMap(({ hints }) => hints))].join(" ");
}

/** Undefined unless the plain prompt encodes to exactly the ids that were sampled from. */
function teacherPrompt(step: JudgedStep, hint: string, options: BatchOptions): readonly number[] | undefined {
  const { messages, guidance } = step;
  const hinted = withGuidance(messages, guidance === undefined ? hint : `${guidance} ${hint}`);
  if (hinted === undefined) return undefined;
  const seen = guidance === undefined ? messages : (withGuidance(messages, guidance) ?? messages);
  const plain = options.encodePrompt(seen, options.tools);
  const { promptIds } = step.tokens!;
  if (plain.length !== promptIds.length || plain.some((id, t) => id !== promptIds[t])) return undefined;
  return options.encodePrompt(hinted, options.tools);
}

/** Tokens taken greedily (temperature 0) were not drawn from any distribution that could be made likelier. */
function isWellFormed({ tokens }: JudgedStep): boolean {
  const { ids, logProbs, mask, temperature } = tokens!;
  return (
    temperature > 0 &&
    ids.length > 0 &&
    ids.length === logProbs.length &&
    ids.length === mask.length &&
    logProbs.every(Number.isFinite)
  );
}

/** Fisher–Yates. */
function shuffle<T>(items: T[], seed: number): void {
  const random = createRandom(seed);
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
}
