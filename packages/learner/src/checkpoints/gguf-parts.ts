import { CheckpointError } from "./checkpoint-error.js";
import { shown } from "./fields.js";
import { type GgufHeader, type GgufValue, readGgufHeader } from "./gguf-header.js";
import type { SourceFile } from "./source-file.js";
import type { StoredTensor } from "./stored-tensor.js";

/** A GGUF model whose tensors may lie in several files; the first holds the metadata of all. */
export interface GgufParts {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Where a tensor lies; undefined when there is none of the name. */
  fileOf(name: string): SourceFile | undefined;
}

/** More parts are taken for a slip of the name. */
const MAX_PARTS = 1000;

/** The paths of all files of the model that `path` is (a part of): `name-00001-of-00003.gguf` and its like, as llama.cpp splits. */
export function pathsOfParts(path: string): readonly string[] {
  const [, name, count] = /^(.*)-\d{5}-of-(\d{5})\.gguf$/s.exec(path) ?? [];
  if (name === undefined || Number(count) < 1 || Number(count) > MAX_PARTS) return [path];
  return Array.from({ length: Number(count) }, (_, i) => `${name}-${`${i + 1}`.padStart(5, "0")}-of-${count}.gguf`);
}

/**
 * Reads the headers of all parts of a model.
 *
 * @throws CheckpointError as {@link readGgufHeader}; `checkpoint/mismatch` when the files are not all the parts of one model, in order.
 */
export function readGgufParts(files: readonly SourceFile[]): GgufParts {
  const headers = files.map(readGgufHeader);
  const tensors = new Map<string, StoredTensor>();
  const places = new Map<string, SourceFile>();
  headers.forEach((header, index) => {
    const file = files[index]!;
    assertPart(file.name, header, index, files.length);
    for (const [name, tensor] of header.tensors) {
      if (tensors.has(name)) {
        const [expected, found] = ["each tensor in one part", `it in "${places.get(name)!.name}", too`];
        throw new CheckpointError("mismatch", { file: file.name, tensor: name, expected, found });
      }
      tensors.set(name, tensor);
      places.set(name, file);
    }
  });
  const { metadata } = headers[0]!;
  const said = metadata.get("split.tensors.count") ?? tensors.size;
  if (said !== tensors.size) {
    throw new CheckpointError("mismatch", {
      file: files[0]!.name,
      field: "split.tensors.count",
      expected: `${tensors.size}, the tensors of all parts`,
      found: shown(said),
    });
  }
  return { metadata, tensors, fileOf: (name) => places.get(name) };
}

function assertPart(file: string, { metadata }: GgufHeader, index: number, count: number): void {
  const fail = (field: string, expected: string, found: unknown) => {
    throw new CheckpointError("mismatch", {
      file,
      field,
      expected,
      found: shown(found),
      remedy: "put all parts into one folder, under the names that they were made with",
    });
  };
  const said = metadata.get("split.count") || 1;
  if (said !== count) fail("split.count", `${count}, as the file's name says`, said);
  if (count > 1 && metadata.get("split.no") !== index) fail("split.no", `${index}`, metadata.get("split.no"));
}
