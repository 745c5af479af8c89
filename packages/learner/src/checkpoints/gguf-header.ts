import { CheckpointError } from "./checkpoint-error.js";
import { type Cursor, type NumberKind, openCursor } from "./gguf-cursor.js";
import type { SourceFile } from "./source-file.js";
import { elementCount, type StoredTensor } from "./stored-tensor.js";
import { GGUF_TYPES, UNREAD_GGUF_TYPES } from "./tensor-types.js";

/** A value of GGUF metadata. Integers beyond 2⁵³ are bigints. */
export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

/** What a GGUF file says about itself; the data are still in the file. */
export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** By GGUF name, in the order of the file. Shapes are outermost first: the reverse of the file's. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

const MAGIC = 0x46554747; // "GGUF"
const VERSIONS = [2, 3];
const DEFAULT_ALIGNMENT = 32;
const MAX_DIMENSIONS = 4;
const MAX_ARRAY_DEPTH = 4;

/** Types of metadata values, by their number (`gguf_type`). */
const VALUE_KINDS: readonly (NumberKind | "bool" | "text" | "array")[] = [
  "u8",
  "i8",
  "u16",
  "i16",
  "u32",
  "i32",
  "f32",
  "bool",
  "text",
  "array",
  "u64",
  "i64",
  "f64",
];

/** The fewest bytes of a metadata entry and of a tensor's description: what bounds their counts. */
const MIN_ENTRY_BYTES = 13;
const MIN_TENSOR_BYTES = 24;

/**
 * Reads and checks everything before the data of a GGUF file, versions 2 and 3, little endian. Layout: docs/gguf.md of ggml.
 *
 * @throws CheckpointError `checkpoint/corrupt` when the file is not whole and well formed, `checkpoint/unsupported` when a tensor
 *   is quantised in a way that is not read.
 */
export function readGgufHeader(file: SourceFile): GgufHeader {
  const cursor = openCursor(file);
  const corrupt = (field: string, expected: string, found: string) =>
    new CheckpointError("corrupt", { file: file.name, field, expected, found });
  const magic = cursor.number("u32", "magic");
  if (magic !== MAGIC) throw corrupt("magic", '"GGUF"', `0x${magic.toString(16)}`);
  const version = cursor.number("u32", "version") as number;
  if (!VERSIONS.includes(version)) {
    const found = version === 0x0300_0000 ? "a big-endian file" : `${version}`;
    throw new CheckpointError("unsupported", { file: file.name, field: "version", expected: "2 or 3", found });
  }
  const tensorCount = cursor.count("tensor count", MIN_TENSOR_BYTES);
  const entryCount = cursor.count("metadata count", MIN_ENTRY_BYTES);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < entryCount; i++) {
    const key = cursor.text(`key ${i} of the metadata`);
    if (metadata.has(key)) throw corrupt(key, "each metadata key once", "it twice");
    metadata.set(key, readValue(cursor, file.name, key, cursor.number("u32", key) as number, 0));
  }
  const alignment = metadata.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== "number" || alignment < 8 || !Number.isInteger(Math.log2(alignment))) {
    throw corrupt("general.alignment", "a power of two of at least 8", String(alignment));
  }
  const described: StoredTensor[] = [];
  for (let i = 0; i < tensorCount; i++) described.push(readTensorInfo(cursor, file.name, i));
  return { metadata, tensors: placeTensors(file, described, cursor.offset, alignment) };
}

function readValue(cursor: Cursor, file: string, key: string, kindNumber: number, depth: number): GgufValue {
  const kind = VALUE_KINDS[kindNumber];
  if (kind === undefined || depth > MAX_ARRAY_DEPTH) {
    const [expected, found] =
      kind === undefined
        ? ["a value type from 0 to 12", `${kindNumber}`]
        : [`arrays of arrays to a depth of ${MAX_ARRAY_DEPTH}`, "deeper ones"];
    throw new CheckpointError("corrupt", { file, field: key, expected, found });
  }
  if (kind === "text") return cursor.text(key);
  if (kind === "bool") return cursor.number("u8", key) !== 0;
  if (kind !== "array") return cursor.number(kind, key);
  const elementKind = cursor.number("u32", key) as number;
  const length = cursor.count(key, 1);
  const values: GgufValue[] = [];
  for (let i = 0; i < length; i++) values.push(readValue(cursor, file, key, elementKind, depth + 1));
  return values;
}

/** A tensor's description; its offset is still from the start of the data. */
function readTensorInfo(cursor: Cursor, file: string, index: number): StoredTensor {
  const name = cursor.text(`name of tensor ${index}`);
  const what = `description of tensor "${name}"`;
  const corrupt = (expected: string, found: string) =>
    new CheckpointError("corrupt", { file, tensor: name, expected, found });
  const dimensions = cursor.number("u32", what);
  if (dimensions > MAX_DIMENSIONS) throw corrupt(`at most ${MAX_DIMENSIONS} dimensions`, `${dimensions}`);
  const sizes = Array.from({ length: Number(dimensions) }, () => cursor.number("u64", what));
  const elements = sizes.reduce<number>((product, size) => product * Number(size), 1);
  if (sizes.includes(0) || !Number.isSafeInteger(elements)) throw corrupt("sizes above 0", `[${sizes.join(", ")}]`);
  const shape = sizes.map(Number).reverse();
  const typeNumber = cursor.number("u32", what) as number;
  const type = GGUF_TYPES.get(typeNumber);
  if (type === undefined) {
    throw new CheckpointError("unsupported", {
      file,
      tensor: name,
      expected: `a type among ${[...GGUF_TYPES.values()].map((known) => known.name).join(", ")}`,
      found: UNREAD_GGUF_TYPES.get(typeNumber) ?? `type ${typeNumber}`,
      remedy: "use the same model in one of these",
    });
  }
  if ((shape.at(-1) ?? 1) % type.blockElements !== 0) {
    throw corrupt(`rows of a multiple of ${type.blockElements} elements for ${type.name}`, `[${shape.join(", ")}]`);
  }
  const offset = cursor.number("u64", what);
  if (typeof offset !== "number") throw corrupt("an offset in the file", `${offset}`);
  return { name, shape, type, offset, bytes: (elementCount(shape) / type.blockElements) * type.blockBytes };
}

/** Puts offsets on the file's own scale. Tensors must follow one another, each at the next aligned byte, and fill the file. */
function placeTensors(
  file: SourceFile,
  described: readonly StoredTensor[],
  headerEnd: number,
  alignment: number,
): ReadonlyMap<string, StoredTensor> {
  const aligned = (offset: number) => Math.ceil(offset / alignment) * alignment;
  const dataStart = aligned(headerEnd);
  const tensors = new Map<string, StoredTensor>();
  for (const tensor of described) {
    if (tensors.has(tensor.name)) {
      throw new CheckpointError("corrupt", {
        file: file.name,
        tensor: tensor.name,
        expected: "each name once",
        found: "it twice",
      });
    }
    tensors.set(tensor.name, { ...tensor, offset: dataStart + tensor.offset });
  }
  let end = dataStart;
  for (const { name, offset, bytes } of [...tensors.values()].sort((a, b) => a.offset - b.offset)) {
    const start = aligned(end);
    end = offset + bytes;
    if (offset !== start || end > file.size) {
      const [expected, found] =
        offset === start
          ? [`${bytes} bytes of data`, `${Math.max(0, file.size - offset)} before the end of the file`]
          : [`data from byte ${start} on`, `data from byte ${offset} on`];
      throw new CheckpointError("corrupt", { file: file.name, tensor: name, expected, found });
    }
  }
  if (described.length > 0 && file.size > aligned(end)) {
    const [expected, found] = [`${aligned(end)} bytes, as its header describes`, `${file.size} bytes`];
    throw new CheckpointError("corrupt", { file: file.name, expected, found });
  }
  return tensors;
}
