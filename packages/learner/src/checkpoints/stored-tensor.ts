import type { WeightArray } from "../types.js";
import { CheckpointError } from "./checkpoint-error.js";
import type { SourceFile } from "./source-file.js";
import type { TensorType } from "./tensor-types.js";

/** Where and how a tensor lies in a file. */
export interface StoredTensor {
  readonly name: string;
  /** Outermost first, as Hugging Face writes it: [out, in]. */
  readonly shape: readonly number[];
  readonly type: TensorType;
  /** Of its first byte in the file. */
  readonly offset: number;
  readonly bytes: number;
}

/** Read at once, in bytes at most: a large tensor needs this much on top of its float32 form. */
const CHUNK_BYTES = 1 << 23;

/**
 * Reads a tensor as float32.
 *
 * @param data where to. Default: an array of its own. [elements]
 * @throws CheckpointError `checkpoint/corrupt` when the file is shorter than it was.
 */
export function readTensor(
  file: SourceFile,
  { shape, type, offset, bytes }: StoredTensor,
  data: Float32Array = new Float32Array(elementCount(shape)),
): WeightArray {
  const chunkBlocks = Math.floor(CHUNK_BYTES / type.blockBytes);
  const blocks = bytes / type.blockBytes;
  for (let block = 0; block < blocks; block += chunkBlocks) {
    const count = Math.min(chunkBlocks, blocks - block);
    const into = data.subarray(block * type.blockElements, (block + count) * type.blockElements);
    type.decode(file.read(offset + block * type.blockBytes, count * type.blockBytes), into);
  }
  return { shape, data };
}

/** Room for the weights of a model, which a thread can hand to another without a copy. */
export function sharedRoom({ shape }: Pick<WeightArray, "shape">): Float32Array {
  return new Float32Array(new SharedArrayBuffer(elementCount(shape) * Float32Array.BYTES_PER_ELEMENT));
}

/** Product of the sizes; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** @throws CheckpointError `checkpoint/corrupt` when a weight is NaN or infinite. */
export function assertFinite(file: string, tensor: string, { data }: WeightArray): void {
  for (let i = 0; i < data.length; i++) {
    if (!Number.isFinite(data[i])) {
      throw new CheckpointError("corrupt", {
        file,
        tensor,
        expected: "finite numbers",
        found: `${data[i]} at element ${i}`,
      });
    }
  }
}
