import type { PolicyWeights } from "../types.js";
import { CheckpointError } from "./checkpoint-error.js";

/**
 * Compares what a file holds with what is needed.
 *
 * @throws CheckpointError `checkpoint/mismatch` when an array is missing, surplus or of another shape.
 */
export function assertArraysFit(
  file: string,
  arrays: PolicyWeights,
  shapes: ReadonlyMap<string, readonly number[]>,
): void {
  const fail = (tensor: string, expected: string, found: string) => {
    throw new CheckpointError("mismatch", { file, tensor, expected, found });
  };
  for (const [name, shape] of shapes) {
    const found = arrays.get(name)?.shape;
    const expected = `shape [${shape.join(", ")}]`;
    if (found === undefined) fail(name, expected, "nothing");
    else if (found.join() !== shape.join()) fail(name, expected, `shape [${found.join(", ")}]`);
  }
  for (const [name, { shape }] of arrays) {
    if (!shapes.has(name)) fail(name, "no such tensor", `shape [${shape.join(", ")}]`);
  }
}
