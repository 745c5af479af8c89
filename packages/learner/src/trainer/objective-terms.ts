import { AgentError } from "@afterstate/core";
import { evaluateObjective, type Objective } from "../objectives/objective.js";
import type { PolicyTerm } from "../tensor/policy-loss.js";
import type { TrainingSample } from "../types.js";
import type { PreparedBatch } from "./policy-update.js";

/** A micro-batch and the samples in it. */
export interface SampledBatch {
  readonly samples: readonly TrainingSample[];
  readonly batch: PreparedBatch;
}

/**
 * The objective of a whole update, and what each of its micro-batches contributes to the gradient.
 *
 *   ∇_θ L = Σ_it (∂L/∂log π_it) ∇_θ log π_it
 *
 * All micro-batches are scored first, then the objective sees all of them at once, in float64: denominators are those of the whole
 * update, and a sequence's ratio is known before the backward pass needs it. It costs one more forward pass.
 *
 * @param first whether no step was taken yet: then the policy is still the old one.
 */
export async function objectiveTerms(
  batches: readonly SampledBatch[],
  objective: Objective,
  denominator: number,
  first: boolean,
): Promise<{ readonly loss: number; readonly terms: readonly PolicyTerm[] }> {
  const scored: Float32Array[] = [];
  const references: (Float32Array | undefined)[] = [];
  for (const { batch } of batches) {
    scored.push((await batch.statistics()).logProbs);
    references.push(isPreference(objective.loss) ? await batch.referenceLogProbs() : undefined);
  }
  const samples = batches.flatMap(({ samples }) => samples);
  assertTemperature(samples, objective);
  const rows = batches.flatMap(({ samples, batch }, i) =>
    sampledRows(samples, batch, scored[i]!, references[i], first),
  );
  const column = (key: "new" | "old" | "behaviour" | "advantages" | "reference") => rows.map((row) => row[key]);
  const { loss, gradient } = evaluateObjective(
    objective,
    {
      newLogProbs: column("new"),
      oldLogProbs: column("old"),
      behaviourLogProbs: column("behaviour"),
      advantages: column("advantages"),
      mask: rows.map((row) => row.new.map(() => 1)),
      demonstrations: samples.map(({ demonstration }) => demonstration === true),
      ...(isPreference(objective.loss) && {
        referenceLogProbs: column("reference"),
        pairs: samples.map(({ pair }) => pair),
      }),
    },
    denominator,
  );
  const slopes = gradient.values();
  const terms = batches.map(({ samples, batch }, i) => {
    const flat = samples.flatMap(() => slopes.next().value!).values();
    const slope = Float32Array.from(batch.counted, (counts) => (counts === 0 ? 0 : flat.next().value!));
    return { slopes: slope, logProbs: scored[i]! };
  });
  return { loss, terms };
}

/** The tokens that count, row by row: positions that count stand in the order of rows and tokens, whatever the engine's layout. */
function sampledRows(
  samples: readonly TrainingSample[],
  { counted, oldLogProbs }: PreparedBatch,
  logProbs: Float32Array,
  reference: Float32Array | undefined,
  first: boolean,
) {
  const positions = [...counted.keys()].filter((at) => counted[at] !== 0).values();
  return samples.map(({ tokens, advantages }) => {
    const sampled = [...tokens.ids.keys()].filter((t) => tokens.mask[t] === 1);
    const places = sampled.map(() => positions.next().value!);
    const at = (values: Float32Array) => places.map((place) => values[place]!);
    return {
      new: at(logProbs),
      old: at(first ? logProbs : oldLogProbs),
      behaviour: sampled.map((t) => tokens.logProbs[t]!),
      advantages: sampled.map((t) => advantages[t]!),
      reference: reference === undefined ? [] : at(reference),
    };
  });
}

function isPreference({ name }: Objective["loss"]): boolean {
  return name === "dpo" || name === "ipo";
}

/** RL-PLUS is of probabilities themselves: those of another temperature are another policy's. */
function assertTemperature(samples: readonly TrainingSample[], { loss }: Objective): void {
  const tempered = samples.find(({ tokens, demonstration }) => demonstration === true && tokens.temperature !== 1);
  if (loss.name === "rl-plus" && tempered !== undefined)
    throw new AgentError(
      "objective/bad-option",
      `a demonstration has temperature ${tempered.tokens.temperature}; rl-plus takes the policy as it is, at temperature 1`,
    );
}
