import { createRandom, type StepRef, type ToolDefinition } from "@afterstate/core";
import { creditTrajectories } from "../credit/credit-trajectories.js";
import type { CreditOptions } from "../credit/credited-trajectory.js";
import type { CreditState } from "../credit/step-credit.js";
import { othersTurn } from "../policy/others-turn.js";
import { matterFirst, wishesOf } from "../text/wish.js";
import type { PolicyRuntime, TrainingSample } from "../types.js";
import type { LearningSignals } from "../versions/batch-record.js";
import type { DropReason } from "../versions/drop-reason.js";
import { creditedEpisode } from "./credited-episode.js";
import type { JudgedEpisode, JudgedStep } from "./judged-episode.js";
import { withHint } from "./standing-hints.js";
import { stepLesson } from "./step-lesson.js";

/** Credit below it is what rounding leaves of 0. */
const ROUNDING = 1e-9;

/** What a batch is made with. */
export interface BatchOptions {
  readonly signals: LearningSignals;
  readonly credit: CreditOptions;
  /**
   * Votes are permuted among the judged steps of the batch and of `replay`, and hints left out: what then still gets better was not
   * learned from reactions.
   */
  readonly shuffledVotes: boolean;
  readonly seed: number;
  /** How many versions behind the serving one a sample is. */
  readonly staleness: (policyVersion: string) => number;
  readonly maxStaleness: number;
  /** How many evolutions of learned text there have been: an episode from before the last may have given rise to it. */
  readonly generation: number;
  readonly encodePrompt: PolicyRuntime["encodePrompt"];
  readonly tools: readonly ToolDefinition[];
  /** Whether the weights take in what guidance says, so that it can be taken away. */
  readonly absorbsGuidance: boolean;
  /** Absent: a hint is for its own episode alone. */
  readonly replay?: Rehearsal;
}

/** What a learner still has of what it consumed. */
export interface Rehearsal {
  /** The oldest first: what the policy saw and said there is taught again, but their rewards count no second time. */
  readonly episodes: readonly JudgedEpisode[];
  /** Wishes that stand, the newest first: what the teacher hears in every episode, behind the episode's own hints. */
  readonly hints: readonly string[];
}

type Sample = TrainingSample & { readonly offset: number };

/** The samples of a batch of episodes, and what was left out. */
export interface Batch {
  readonly samples: readonly Sample[];
  /** What is taught again: steps of earlier episodes, and steps that were sampled with guidance with it in sight. */
  readonly replayed: readonly Sample[];
  readonly credit: CreditState;
  /** The wishes that stand after the batch. */
  readonly hints: readonly string[];
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
 * Turns judged episodes into training samples. Steps with neither credit nor lesson are left out. A hint goes to all steps of
 * its episode since the user's last message, for it is that request that should have been answered otherwise. What was sampled with
 * guidance is not credited where the weights absorb it, for it is not what the policy says by itself: it is taught, unless it was judged
 * bad and nobody said why. Between two episodes others have their turn.
 */
export async function assembleBatch(
  episodes: readonly JudgedEpisode[],
  state: CreditState,
  options: BatchOptions,
): Promise<Batch> {
  const rewards = rewardsOf(episodes, options);
  const credited = creditTrajectories(
    episodes.map((episode, i) => creditedEpisode(episode, rewards[i]!)),
    state,
    options.credit,
  );
  const isTaught = options.signals !== "reward" && !options.shuffledVotes;
  const { replay } = options;
  const before = replay?.hints ?? [];
  const hints = isTaught ? episodes.reduce((standing, { steps }) => withHint(standing, hintOf(steps)), before) : before;
  const adviceFor = (steps: readonly JudgedStep[], step: JudgedStep): string => {
    const own = hintOf(steps);
    const { guidance = "" } = options.absorbsGuidance ? step : {};
    if (!isTaught || (own === "" && guidance !== "" && steps.some(({ reward = 0 }) => reward < 0))) return "";
    if (replay === undefined) return [guidance, own].filter(Boolean).join(" ");
    return matterFirst(withHint(withHint(hints, guidance), own).flatMap(wishesOf)).join(" ");
  };
  const dropped: { of: StepRef; reason: DropReason }[] = [];
  const sampleOf = (
    { steps, offset, generation }: JudgedEpisode,
    step: JudgedStep,
    credit: readonly number[],
  ): Sample | DropReason => {
    const { of, policyVersion, tokens, guidance } = step;
    if (tokens === undefined) return "noTokens";
    const advice = adviceFor(steps, step);
    const isUncredited = isTaught && options.absorbsGuidance && guidance !== undefined;
    const advantages = tokens.ids.map((_, t) => (isUncredited ? 0 : withoutRounding(credit[t] ?? 0)));
    const isCredited = advantages.some((advantage) => advantage !== 0);
    if (!isCredited && advice === "") return "nothingLearned";
    if (generation < options.generation) return "olderText";
    if (!isWellFormed(step)) return "malformed";
    const lesson = advice === "" ? undefined : stepLesson({ ...step, tokens }, advice, options);
    if (!isCredited && lesson === undefined) return "noTeacher";
    return { of, offset, policyVersion, tokens, advantages, ...lesson };
  };
  const samples: Sample[] = [];
  for (const [i, episode] of episodes.entries()) {
    await othersTurn();
    for (const [k, step] of episode.steps.entries()) {
      const credit = options.signals === "hints" ? [] : credited.credits[i]![k]!.advantages;
      const sample = sampleOf(episode, step, credit);
      const isStale = options.staleness(step.policyVersion) > options.maxStaleness;
      const reason = typeof sample === "string" ? sample : isStale ? "stale" : undefined;
      if (reason !== undefined) dropped.push({ of: step.of, reason });
      else samples.push(sample as Sample);
    }
  }
  // What a teacher says does not age as a reward does.
  const earlier = isTaught ? (replay?.episodes ?? []) : [];
  const replayed: Sample[] = [];
  for (const episode of earlier) {
    await othersTurn();
    replayed.push(
      ...episode.steps.map((step) => sampleOf(episode, step, [])).filter((sample) => typeof sample !== "string"),
    );
  }
  const taught = [...samples, ...replayed].filter(({ teacherPromptIds }) => teacherPromptIds !== undefined);
  const reminders = options.absorbsGuidance && replay ? remindersOf([...episodes, ...earlier], taught) : [];
  return { samples, replayed: [...replayed, ...reminders], credit: credited.state, hints, dropped };
}

/**
 * Taught steps that were sampled with guidance once more, behind the prompt that they were sampled from: the weights take in what the
 * guidance says and are not to unlearn, with it in sight, to do what it says. The teacher sees what the policy sees.
 */
function remindersOf(episodes: readonly JudgedEpisode[], taught: readonly Sample[]): Sample[] {
  const isTaught = new Set(taught.map(({ of }) => `${of.episodeId}#${of.stepIndex}`));
  return episodes.flatMap(({ steps, offset }) =>
    steps.flatMap(({ of, policyVersion, tokens, guidance }) => {
      if (tokens === undefined || guidance === undefined || !isTaught.has(`${of.episodeId}#${of.stepIndex}`)) return [];
      const advantages = tokens.ids.map(() => 0);
      return [{ of, offset, policyVersion, tokens, advantages, teacherPromptIds: tokens.promptIds }];
    }),
  );
}

/**
 * The rewards that credit is computed from. A step without evidence counts 0 while the episode went on (what it led to is
 * credited by V) and as unknown at its end; an episode without any evidence is unknown throughout.
 */
function rewardsOf(episodes: readonly JudgedEpisode[], options: BatchOptions): (number | undefined)[][] {
  const judged = judgedSteps(episodes);
  const given = new Map(judged.map((step) => [step, step.reward]));
  if (options.shuffledVotes) {
    // Only among steps that were judged: a vote on a step that had none would tell long episodes from short ones.
    const votes = [...judged, ...judgedSteps(options.replay?.episodes ?? [])].map(({ reward }) => reward);
    shuffle(votes, options.seed);
    for (const [index, step] of judged.entries()) given.set(step, votes[index]);
  }
  return episodes.map(({ steps }) => {
    if (!steps.some(({ evidence }) => evidence)) return steps.map(() => undefined);
    return steps.map((step, k) => {
      const said = given.has(step) ? given.get(step) : k < steps.length - 1 ? 0 : undefined;
      return said === undefined ? undefined : said + step.shaping;
    });
  });
}

function judgedSteps(episodes: readonly JudgedEpisode[]): readonly JudgedStep[] {
  return episodes.flatMap(({ steps }) => steps.filter(({ evidence }) => evidence));
}

function hintOf(steps: readonly JudgedStep[]): string {
  return [...new Set(steps.flatMap(({ hints }) => hints))].join(" ");
}

function withoutRounding(credit: number): number {
  return Math.abs(credit) < ROUNDING ? 0 : credit;
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
