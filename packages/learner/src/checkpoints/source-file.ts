import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { messageOf } from "@afterstate/core";
import { CheckpointError } from "./checkpoint-error.js";

/** Bytes that are read by offset, so that a file of any size needs no more memory than the part that is asked for. */
export interface SourceFile {
  /** How errors name it. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** A copy of `length` bytes from `offset` on, alone in its buffer. Both must lie in the file. */
  read(offset: number, length: number): Uint8Array<ArrayBuffer>;
}

/** Opens a file for as long as `use` runs. @throws CheckpointError `checkpoint/missing`, or what `use` throws. */
export function withSourceFile<T>(path: string, use: (file: SourceFile) => T): T {
  let descriptor: number;
  try {
    descriptor = openSync(path, "r");
  } catch (cause) {
    throw new CheckpointError("missing", { file: path, expected: "a readable file", found: messageOf(cause), cause });
  }
  try {
    return use({
      name: path,
      size: fstatSync(descriptor).size,
      read(offset, length) {
        const bytes = new Uint8Array(length);
        let done = 0;
        while (done < length) {
          const count = readSync(descriptor, bytes, done, length - done, offset + done);
          if (count === 0) {
            throw new CheckpointError("corrupt", {
              file: path,
              expected: `${length} bytes at ${offset}`,
              found: `${done}`,
            });
          }
          done += count;
        }
        return bytes;
      },
    });
  } finally {
    closeSync(descriptor);
  }
}

/** Opens several files for as long as `use` runs. @throws as {@link withSourceFile}. */
export function withSourceFiles<T>(paths: readonly string[], use: (files: readonly SourceFile[]) => T): T {
  const [first, ...rest] = paths;
  if (first === undefined) return use([]);
  return withSourceFile(first, (file) => withSourceFiles(rest, (files) => use([file, ...files])));
}

/** Bytes in memory as a file. */
export function bytesAsFile(bytes: Uint8Array, name: string): SourceFile {
  return {
    name,
    size: bytes.length,
    read: (offset, length) => new Uint8Array(bytes.subarray(offset, offset + length)),
  };
}
