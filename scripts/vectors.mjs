// `npm run vectors -- FILE`: computes every case and unit of a file of known answers, in float64 and on the tensor backend, and compares.
import { readVectors, VectorsError } from "./vectors/read-vectors.mjs";

/** One line; never throws for what is wrong with the case. */
async function report(kind, one, check) {
  let outcome;
  try {
    outcome = await check();
  } catch (error) {
    outcome = { failure: error instanceof VectorsError ? error.message : `it cannot be computed (${error.message})` };
  }
  const { float64, tensor, failure } = outcome;
  const errors = float64 && `float64 ${float64.error.toExponential(1)}  tensor ${tensor.error.toExponential(1)}`;
  const parts = [failure ? "FAIL" : "ok  ", kind, one.id.padEnd(36), errors, failure && `— ${failure}`];
  console.log(parts.filter(Boolean).join("  "));
  return failure === undefined;
}

async function main([path]) {
  if (path === undefined) throw new VectorsError("name a file of vectors: npm run vectors -- FILE");
  const { batches, cases, units } = readVectors(path);
  // Only now: a file that is none is refused at once.
  const { checkCase, checkUnit, openTensors, FLOAT64, TENSOR } = await import("./vectors/check.mjs");
  const backend = await openTensors();
  console.log(`float64 to ${FLOAT64.tolerance}; tensor backend ${backend} to ${TENSOR.tolerance}`);
  let failed = 0;
  for (const one of cases) failed += (await report("case", one, () => checkCase(one, batches))) ? 0 : 1;
  for (const one of units) failed += (await report("unit", one, () => checkUnit(one, batches))) ? 0 : 1;
  const ok = cases.length + units.length - failed;
  console.log(`${cases.length} cases, ${units.length} units: ${ok} ok, ${failed} FAIL`);
  return failed === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(`vectors: ${error.message}`);
  process.exitCode = 1;
}
