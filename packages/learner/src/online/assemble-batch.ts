import { createRandom, type StepRef, type ToolDefinition, withGuidance } from "@afterstate/core";
import { spreadOverTokens } from "../credit/spread.js";
import { type CreditOptions, type CreditState, creditEpisodes, stateKeyOf } from "../credit/step-credit.js";
import type { PolicyRuntime, TrainingSample } from "../types.js";
import type { LearningSignals } from "../versions/batch-record.js";
import type { DropReason } from "../versions/drop-reason.js";
import type { JudgedEpisode, JudgedStep } from "./judged-episode.js";

/** Credit below it is what rounding leaves of 0. */
const ROUNDING = 1e-9;

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
  readonly encodePrompt: PolicyRuntime["encodePrompt"];
  readonly tools: readonly ToolDefinition[];
}

/** The samples of a batch of episodes, and what was left out. */
export interface Batch {
  readonly samples: readonly (TrainingSample & { readonly offset: number })[];
  readonly credit: CreditState;
  /** The steps that are in no sample. */
  readonly dropped: readonly { readonly of: StepRef; readonly reason: DropReason }[];
}

/** Whether an episode says anything that the policy can be trained on. */
export function isInformative(episode: JudgedEpisode, signals: LearningSignals): boolean {
  if (episode.skipped !== undefined) return false;
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
  const dropped: { of: StepRef; reason: DropReason }[] = [];
  for (const [i, { steps, offset }] of episodes.entries()) {
    const hint = options.signals === "reward" || options.shuffledVotes ? "" : hintOf(steps);
    for (const [k, step] of steps.entries()) {
      const drop = (reason: DropReason) => void dropped.push({ of: step.of, reason });
      if (step.tokens === undefined) {
        drop("noTokens");
        continue;
      }
      const credit = options.signals === "hints" ? 0 : credited.advantages[i]![k]!;
      const advantage = Math.abs(credit) < ROUNDING ? 0 : credit;
      if (advantage === 0 && hint === "") {
        drop("nothingLearned");
        continue;
      }
      const stale = options.staleness(step.policyVersion) > options.maxStaleness;
      if (stale || !isWellFormed(step)) {
        drop(stale ? "stale" : "malformed");
        continue;
      }
      const teacherPromptIds = hint === "" ? undefined : teacherPrompt(step, hint, options);
      if (advantage === 0 && teacherPromptIds === undefined) {
        drop("noTeacher");
        continue;
      }
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
  return { samples, credit: credited.state, dropped };
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
    return steps.map((step, k) => {
      const said = given.has(step) ? given.get(step) : k < steps.length - 1 ? 0 : undefined;
      return said === undefined ? undefined : said + step.shaping;
    });
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
  const tools = step.tools ?? options.tools;
  const plain = options.encodePrompt(seen, tools);
  const { promptIds } = step.tokens!;
  if (plain.length !== promptIds.length || plain.some((id, t) => id !== promptIds[t])) return undefined;
  return options.encodePrompt(hinted, tools);
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
