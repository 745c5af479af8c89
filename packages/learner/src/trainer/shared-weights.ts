import type { PolicyWeights, UpdateRequest, UpdateResult } from "../types.js";

/** What has been shared, so that weights which are trained on again are not copied again. */
const shared = new WeakMap<PolicyWeights, PolicyWeights>();

/**
 * Weights in memory that threads share. Handed from one thread to another they are not copied, so that neither the copying nor the
 * collection of copies holds up the thread that serves. Weights never change, and so nobody can see that they are shared.
 */
export function sharedWeights(weights: PolicyWeights): PolicyWeights {
  const known = shared.get(weights);
  if (known !== undefined) return known;
  const isShared = [...weights.values()].every(({ data }) => data.buffer instanceof SharedArrayBuffer);
  const result: PolicyWeights = isShared
    ? weights
    : new Map([...weights].map(([name, { shape, data }]) => [name, { shape, data: copied(data) }]));
  shared.set(weights, result);
  return result;
}

/** An update's request with all weights shared. */
export function sharedRequest(request: UpdateRequest): UpdateRequest {
  const { weights, reference, optimizer } = request;
  return {
    ...request,
    weights: sharedWeights(weights),
    reference: sharedWeights(reference),
    ...(optimizer && { optimizer: sharedWeights(optimizer) }),
  };
}

/** An update's result with all weights shared. */
export function sharedResult(result: UpdateResult): UpdateResult {
  return { ...result, weights: sharedWeights(result.weights), optimizer: sharedWeights(result.optimizer) };
}

function copied(data: Float32Array): Float32Array {
  const copy = new Float32Array(new SharedArrayBuffer(data.byteLength));
  copy.set(data);
  return copy;
}
