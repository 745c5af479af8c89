// Reads a file of known answers and says in one sentence what is wrong with one that is none.
import { readFileSync } from "node:fs";

/** What a caller did wrong, as one sentence. */
export class VectorsError extends Error {}

/** @returns {{ batches: object, units: object[], cases: object[] }} @throws VectorsError */
export function readVectors(path) {
  let text;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new VectorsError(`${path} cannot be read (${error.code}); name a file of vectors`);
  }
  let file;
  try {
    file = JSON.parse(text);
  } catch (error) {
    throw new VectorsError(`${path} is not JSON: ${error.message}`);
  }
  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  if (!isObject(file) || !isObject(file.batches) || !Array.isArray(file.cases))
    throw new VectorsError(`${path} is no file of vectors: it needs an object "batches" and a list "cases"`);
  const { batches, cases, units = [] } = file;
  if (!Array.isArray(units)) throw new VectorsError(`${path}: "units" is a list`);
  for (const [kind, list] of Object.entries({ case: cases, unit: units }))
    for (const [i, one] of list.entries()) {
      const missing = ["id", "expected", ...(kind === "case" ? ["algorithm", "params"] : [])].find(
        (key) => one?.[key] === undefined,
      );
      if (missing !== undefined)
        throw new VectorsError(`${path}: ${kind} ${i + 1} (${one?.id ?? "unnamed"}) has no "${missing}"`);
      if (kind === "case" && typeof one.batch === "string" && batches[one.batch] === undefined)
        throw new VectorsError(`${path}: case ${one.id} is of batch "${one.batch}", which the file does not hold`);
    }
  return { batches, units, cases };
}
