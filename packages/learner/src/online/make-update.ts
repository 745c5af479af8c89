import type { ToolDefinition } from "@afterstate/core";
import type { CreditState } from "../credit/step-credit.js";
import { othersTurn } from "../policy/others-turn.js";
import type { Alarm } from "../safety/alarm.js";
import {
  FEEDBACK_RULE,
  type FeedbackState,
  guardFeedback,
  knownUsers,
  NO_FEEDBACK,
  userOf,
} from "../safety/feedback-guard.js";
import { capInfluence } from "../safety/influence.js";
import { isHeldOut } from "../safety/session-draw.js";
import type { PolicyRuntime, PolicyWeights, TrustRegion, UpdateRequest } from "../types.js";
import type { UpdateRecipe } from "../versions/batch-record.js";
import type { DropReason } from "../versions/drop-reason.js";
import { versionNumber } from "../versions/version-manifest.js";
import { assembleBatch, type Batch, type Rehearsal } from "./assemble-batch.js";
import type { JudgedEpisode } from "./judged-episode.js";
import { DEFAULT_UPDATE, type OnlineLearnerOptions } from "./learner-options.js";

/** What one update is made of, beside the weights that it starts from. */
export interface UpdateMaterial {
  readonly episodes: readonly JudgedEpisode[];
  /** What credit remembers from before. */
  readonly credit: CreditState;
  /** What is remembered of users' votes. Default: nothing. */
  readonly feedback?: FeedbackState;
  /** The version that the update starts from, its parent, its parent's parent and so on. */
  readonly lineage: readonly string[];
  /** See `BatchOptions.generation`. */
  readonly generation: number;
  /** Of the shuffled control. */
  readonly seed: number;
  /** Tools in the prompts that the teacher sees. */
  readonly tools: readonly ToolDefinition[];
  /** What is left of earlier batches. Absent: hints are for their own episodes alone. */
  readonly replay?: Rehearsal;
}

/** A batch with what was believed of it. */
export interface GuardedBatch extends Batch {
  /** The version that its update starts from. */
  readonly version: string;
  /** The episodes that were trained on, or could have been. */
  readonly trusted: readonly JudgedEpisode[];
  /** What is remembered of users' votes after it; absent where everything is believed. */
  readonly feedback?: FeedbackState;
  readonly alarms: readonly Alarm[];
}

/** The recipe of a learner. */
export function recipeOf(options: OnlineLearnerOptions, trustRegion?: TrustRegion): UpdateRecipe {
  const {
    signals,
    credit,
    control,
    maxStaleness = 4,
    replayEpisodes,
    update,
    holdoutShare = 0,
    seed = 0,
    feedback,
    attribution,
  } = options;
  return {
    signals,
    credit: { credit: "step", gamma: 1, lambda: 0.95, decay: 0.9, ...credit },
    shuffledVotes: control === "shuffled-votes",
    maxStaleness,
    absorbsGuidance: attribution === undefined,
    update: { ...DEFAULT_UPDATE, ...update },
    ...(replayEpisodes && { replayEpisodes }),
    ...(holdoutShare > 0 && { holdout: { share: holdoutShare, seed } }),
    ...(feedback !== "trusted" && { feedback: { ...FEEDBACK_RULE, ...feedback } }),
    ...(trustRegion && { trustRegion }),
  };
}

/** The samples of an update: a function of its arguments alone, so that what made a version can make it again. */
export async function updateBatch(
  recipe: UpdateRecipe,
  { episodes, credit, feedback = NO_FEEDBACK, lineage, generation, seed, tools, replay }: UpdateMaterial,
  encodePrompt: PolicyRuntime["encodePrompt"],
): Promise<GuardedBatch> {
  const { holdout } = recipe;
  const reasonOf = ({ skipped, sessionId }: JudgedEpisode) =>
    skipped ?? (holdout !== undefined && isHeldOut(sessionId, holdout) ? "heldOut" : undefined);
  const learned = episodes.filter((episode) => reasonOf(episode) === undefined);
  const guarded = recipe.feedback && guardFeedback(learned, feedback, recipe.feedback);
  const trusted = guarded?.trusted ?? learned;
  await othersTurn();
  const batch = await assembleBatch(trusted, credit, {
    signals: recipe.signals,
    credit: recipe.credit,
    shuffledVotes: recipe.shuffledVotes,
    seed,
    staleness: (version) => {
      const place = lineage.indexOf(version);
      return place >= 0 ? place : Math.abs(versionNumber(lineage[0]!) - versionNumber(version));
    },
    maxStaleness: recipe.maxStaleness,
    absorbsGuidance: recipe.absorbsGuidance,
    generation,
    encodePrompt,
    tools,
    ...(replay && { replay }),
  });
  const known = [...trusted, ...(replay?.episodes ?? [])];
  const users = new Map(known.map((episode) => [episode.episodeId, userOf(episode)]));
  const capped =
    guarded &&
    capInfluence(
      [...batch.samples, ...batch.replayed],
      ({ of }) => users.get(of.episodeId)!,
      knownUsers(guarded.state),
      recipe.feedback!.influence,
    );
  const left = new Map<JudgedEpisode, DropReason>([
    ...(guarded?.quarantined ?? []).map((episode) => [episode, "quarantined"] as const),
    ...(guarded?.rateLimited ?? []).map((episode) => [episode, "rateLimited"] as const),
  ]);
  const skipped = episodes.flatMap((episode) => {
    const reason = reasonOf(episode) ?? left.get(episode);
    return reason === undefined ? [] : episode.steps.map(({ of }) => ({ of, reason }));
  });
  return {
    ...batch,
    ...(capped && {
      samples: capped.samples.slice(0, batch.samples.length),
      replayed: capped.samples.slice(batch.samples.length),
    }),
    dropped: [...skipped, ...batch.dropped],
    version: lineage[0]!,
    trusted,
    ...(guarded && { feedback: guarded.state }),
    alarms: guarded?.alarms ?? [],
  };
}

/** What the trainer is asked for. */
export function updateRequest(
  recipe: UpdateRecipe,
  batch: Pick<GuardedBatch, "samples" | "replayed" | "version">,
  from: Pick<UpdateRequest, "weights" | "reference"> & { readonly optimizer: PolicyWeights | undefined },
): UpdateRequest {
  const { weights, optimizer, reference } = from;
  const { version } = batch;
  const samples = [...batch.samples, ...batch.replayed];
  const { trustRegion, update: options } = recipe;
  return {
    weights,
    version,
    ...(optimizer && { optimizer }),
    reference,
    samples,
    options,
    ...(trustRegion && { trustRegion }),
  };
}
