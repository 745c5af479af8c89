// Compares what was computed with what a file of vectors expects, number by number.

/**
 * The worst difference of two nested values, |a − b| / (|b| + floor), where `floor` keeps a number near 0 from counting as infinitely
 * wrong: `tolerance` and `floor` together are a relative and an absolute bound.
 * @returns {{ error: number, where: string }}
 */
export function worstDifference(actual, expected, floor, where = "") {
  if (typeof expected === "number") {
    const error = typeof actual === "number" ? Math.abs(actual - expected) / (Math.abs(expected) + floor) : Infinity;
    return { error: Number.isNaN(error) ? Infinity : error, where };
  }
  if (expected === null || typeof expected !== "object")
    return { error: String(actual) === String(expected) ? 0 : Infinity, where };
  if (actual === null || typeof actual !== "object") return { error: Infinity, where };
  if (Array.isArray(expected) && (!Array.isArray(actual) || actual.length !== expected.length))
    return { error: Infinity, where: `${where} (its length)` };
  let worst = { error: 0, where };
  for (const [key, value] of Object.entries(expected)) {
    const found = worstDifference(actual[key], value, floor, where === "" ? key : `${where}.${key}`);
    if (found.error > worst.error) worst = found;
  }
  return worst;
}

/** Names of arrays whose entries say what a token is, and so are part of the mask. */
const STRUCTURE = new Set(["mask", "turn", "chosen_mask", "rejected_mask"]);

/** A copy of a batch in which `poison` stands wherever a mask is 0: nothing that is computed from it may change. */
export function poisoned(batch, poison) {
  if (batch === null || typeof batch !== "object" || Array.isArray(batch)) return batch;
  return Object.fromEntries(
    Object.entries(batch).map(([key, value]) => {
      const mask = /^(chosen|rejected)_/.test(key) ? batch[`${key.split("_")[0]}_mask`] : batch.mask;
      if (!Array.isArray(value)) return [key, poisoned(value, poison)];
      if (STRUCTURE.has(key) || !isLike(value, mask)) return [key, value];
      return [key, value.map((one, i) => poisonedRow(one, mask[i], poison))];
    }),
  );
}

function isLike(value, mask) {
  return (
    Array.isArray(mask) &&
    value.length === mask.length &&
    value.every((one, i) => Array.isArray(one) && (!Array.isArray(mask[i]) || one.length === mask[i].length))
  );
}

/** A row of tokens, or where the mask has one number a token, a token of several numbers. */
function poisonedRow(numbers, mask, poison) {
  return numbers.map((number, t) => ((Array.isArray(mask) ? mask[t] : mask) ? number : poison));
}
