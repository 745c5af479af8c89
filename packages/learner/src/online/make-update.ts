import type { ToolDefinition } from "@afterstate/core";
import type { CreditState } from "../credit/step-credit.js";
import type { PolicyRuntime, PolicyWeights, UpdateRequest } from "../types.js";
import type { UpdateRecipe } from "../versions/batch-record.js";
import { versionNumber } from "../versions/version-manifest.js";
import { assembleBatch, type Batch, type Rehearsal } from "./assemble-batch.js";
import type { JudgedEpisode } from "./judged-episode.js";
import { DEFAULT_UPDATE, type OnlineLearnerOptions } from "./learner-options.js";

/** What one update is made of, beside the weights that it starts from. */
export interface UpdateMaterial {
  readonly episodes: readonly JudgedEpisode[];
  /** What credit remembers from before. */
  readonly credit: CreditState;
  /** The version that the update starts from, its parent, its parent's parent and so on. */
  readonly lineage: readonly string[];
  /** Of the shuffled control. */
  readonly seed: number;
  /** Tools in the prompts that the teacher sees. */
  readonly tools: readonly ToolDefinition[];
  /** What is left of earlier batches. Absent: hints are for their own episodes alone. */
  readonly replay?: Rehearsal;
}

/** The recipe of a learner. */
export function recipeOf({
  signals,
  credit,
  control,
  maxStaleness = 4,
  replayEpisodes,
  update,
}: OnlineLearnerOptions): UpdateRecipe {
  return {
    signals,
    credit: { credit: "step", gamma: 1, lambda: 0.95, decay: 0.9, ...credit },
    shuffledVotes: control === "shuffled-votes",
    maxStaleness,
    update: { ...DEFAULT_UPDATE, ...update },
    ...(replayEpisodes && { replayEpisodes }),
  };
}

/** The samples of an update: a function of its arguments alone, so that what made a version can make it again. */
export function updateBatch(
  recipe: UpdateRecipe,
  { episodes, credit, lineage, seed, tools, replay }: UpdateMaterial,
  encodePrompt: PolicyRuntime["encodePrompt"],
): Batch {
  const learned = episodes.filter(({ skipped }) => skipped === undefined);
  const batch = assembleBatch(learned, credit, {
    signals: recipe.signals,
    credit: recipe.credit,
    shuffledVotes: recipe.shuffledVotes,
    seed,
    staleness: (version) => {
      const place = lineage.indexOf(version);
      return place >= 0 ? place : Math.abs(versionNumber(lineage[0]!) - versionNumber(version));
    },
    maxStaleness: recipe.maxStaleness,
    encodePrompt,
    tools,
    ...(replay && { replay }),
  });
  const skipped = episodes.flatMap(({ steps, skipped }) =>
    skipped === undefined ? [] : steps.map(({ of }) => ({ of, reason: skipped })),
  );
  return { ...batch, dropped: [...skipped, ...batch.dropped] };
}

/** What the trainer is asked for. */
export function updateRequest(
  recipe: UpdateRecipe,
  batch: Batch,
  from: Pick<UpdateRequest, "weights" | "reference"> & { readonly optimizer: PolicyWeights | undefined },
): UpdateRequest {
  const { weights, optimizer, reference } = from;
  const samples = [...batch.samples, ...batch.replayed];
  return { weights, ...(optimizer && { optimizer }), reference, samples, options: recipe.update };
}
