import type { ToolDefinition } from "@afterstate/core";
import type { CreditOptions, CreditState } from "../credit/step-credit.js";
import type { PolicyRuntime, PolicyWeights, UpdateOptions, UpdateRequest } from "../types.js";
import { versionNumber } from "../versions/version-manifest.js";
import { assembleBatch, type Batch, type LearningSignals } from "./assemble-batch.js";
import type { JudgedEpisode } from "./judged-episode.js";
import { DEFAULT_UPDATE, type OnlineLearnerOptions } from "./learner-options.js";

/** What of a learner's options decides how updates are made. */
export interface UpdateRecipe {
  readonly signals: LearningSignals;
  readonly credit: CreditOptions;
  readonly shuffledVotes: boolean;
  readonly maxStaleness: number;
  readonly update: UpdateOptions;
}

/** What one update is made of, beside the weights that it starts from. */
export interface UpdateMaterial {
  readonly episodes: readonly JudgedEpisode[];
  /** What credit remembers from before. */
  readonly credit: CreditState;
  /** The version that the update starts from, its parent, its parent's parent and so on. */
  readonly lineage: readonly string[];
  /** See `BatchOptions.generation`. */
  readonly generation: number;
  /** Of the shuffled control. */
  readonly seed: number;
  /** Tools in the prompts that the teacher sees. */
  readonly tools: readonly ToolDefinition[];
}

/** The recipe of a learner. */
export function recipeOf({ signals, credit, control, maxStaleness = 4, update }: OnlineLearnerOptions): UpdateRecipe {
  return {
    signals,
    credit: { credit: "step", gamma: 1, lambda: 0.95, decay: 0.9, ...credit },
    shuffledVotes: control === "shuffled-votes",
    maxStaleness,
    update: { ...DEFAULT_UPDATE, ...update },
  };
}

/** The samples of an update: a function of its arguments alone, so that what made a version can make it again. */
export function updateBatch(
  recipe: UpdateRecipe,
  { episodes, credit, lineage, generation, seed, tools }: UpdateMaterial,
  encodePrompt: PolicyRuntime["encodePrompt"],
): Batch {
  return assembleBatch(episodes, credit, {
    signals: recipe.signals,
    credit: recipe.credit,
    shuffledVotes: recipe.shuffledVotes,
    seed,
    staleness: (version) => {
      const place = lineage.indexOf(version);
      return place >= 0 ? place : Math.abs(versionNumber(lineage[0]!) - versionNumber(version));
    },
    maxStaleness: recipe.maxStaleness,
    generation,
    encodePrompt,
    tools,
  });
}

/** What the trainer is asked for. */
export function updateRequest(
  recipe: UpdateRecipe,
  batch: Batch,
  from: Pick<UpdateRequest, "weights" | "reference"> & { readonly optimizer: PolicyWeights | undefined },
): UpdateRequest {
  const { weights, optimizer, reference } = from;
  const { samples } = batch;
  return { weights, ...(optimizer && { optimizer }), reference, samples, options: recipe.update };
}
