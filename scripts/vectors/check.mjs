// Computes one case or unit in float64 and on the tensor backend, and says how far it is from what the file expects.
import * as learner from "@afterstate/learner";
import { tensorObjectives } from "@afterstate/learner/tensor";
import { poisoned, worstDifference } from "./compare.mjs";
import { VectorsError } from "./read-vectors.mjs";
import { SEQUENCE_CASES } from "./sequence-cases.mjs";
import { STEP_CASES } from "./step-cases.mjs";
import { UNITS } from "./units.mjs";

const ALGORITHMS = { ...SEQUENCE_CASES, ...STEP_CASES };
/** Relative bounds, with the absolute ones that they become near 0: 1e-12 and 1e-7. */
export const FLOAT64 = { tolerance: 1e-9, floor: 1e-3 };
export const TENSOR = { tolerance: 2e-5, floor: 5e-3 };
/** How far central differences were off when the file was made: it says nothing about the algorithm. */
const NOT_COMPARED = new Set(["value_fd_max_abs_err"]);

/** Opens the backend on which float32 is computed. @returns its name, for people. */
export async function openTensors() {
  return (await learner.openBackend()).description;
}

/** @returns {Promise<{ float64: object, tensor: object, failure?: string }>} @throws VectorsError when the case is not known. */
export async function checkCase(one, batches) {
  const compute = ALGORITHMS[one.algorithm];
  if (compute === undefined)
    throw new VectorsError(
      `its algorithm "${one.algorithm}" is not known; known are ${Object.keys(ALGORITHMS).join(", ")}`,
    );
  const { id, params } = one;
  const data = one.batch ? batches[one.batch] : undefined;
  const run = (losses, change = (from) => from) =>
    compute({ id, params, losses, data: change(data), inputs: change(one.inputs, data?.mask) });
  const plain = await run(learner);
  const expected = Object.fromEntries(Object.entries(one.expected).filter(([key]) => !NOT_COMPARED.has(key)));
  const found = difference(plain, await run(tensorObjectives), expected);
  // A case may be there to show what training on observations does; then poison must show.
  const countsMasked = params.state_masking === false;
  for (const poison of [1e9, Number.NaN]) {
    const disturbed = await run(learner, (from, mask) => from && poisoned({ mask, ...from }, poison));
    if ((JSON.stringify(disturbed) !== JSON.stringify(plain)) === countsMasked) continue;
    return {
      ...found,
      failure: `${countsMasked ? "does not change" : "changes"} when ${poison} stands at masked tokens`,
    };
  }
  return found;
}

/** As {@link checkCase}. */
export async function checkUnit(one, batches) {
  const compute = UNITS[one.id];
  if (compute === undefined) throw new VectorsError(`it is not known; known are ${Object.keys(UNITS).join(", ")}`);
  const run = (losses) => compute({ ...one, batches, losses });
  return difference(await run(learner), await run(tensorObjectives), one.expected);
}

function difference(plain, onTensors, expected) {
  const float64 = worstDifference(plain, expected, FLOAT64.floor);
  const tensor = worstDifference(onTensors, expected, TENSOR.floor);
  const failures = [
    ...(float64.error <= FLOAT64.tolerance ? [] : [`${float64.where} differs in float64`]),
    ...(tensor.error <= TENSOR.tolerance ? [] : [`${tensor.where} differs on the tensor backend`]),
  ];
  return { float64, tensor, ...(failures.length > 0 && { failure: failures.join("; ") }) };
}
