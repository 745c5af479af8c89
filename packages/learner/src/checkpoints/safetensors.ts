import { AgentError } from "@afterstate/core";
import type { PolicyWeights, WeightArray } from "../types.js";
import { CheckpointError } from "./checkpoint-error.js";
import { bytesAsFile, type SourceFile } from "./source-file.js";
import { elementCount, readTensor, type StoredTensor } from "./stored-tensor.js";
import { SAFETENSORS_TYPES } from "./tensor-types.js";

const METADATA = "__metadata__";
const PREFIX_BYTES = 8;
const MAX_HEADER_BYTES = 100_000_000;

/** What a safetensors file holds. */
export interface SafetensorsContent {
  readonly weights: PolicyWeights;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What a safetensors file says that it holds; the data are still in the file. */
export interface SafetensorsHeader {
  /** In the order of their data. */
  readonly tensors: readonly StoredTensor[];
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * A file in the safetensors layout, all arrays F32, in the order of the map:
 * 8 bytes header length (little endian), JSON header padded with spaces to 8 bytes, then the data without holes.
 */
export function encodeSafetensors(weights: PolicyWeights, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  const header: Record<string, unknown> = Object.create(null);
  if (Object.keys(metadata).length > 0) header[METADATA] = metadata;
  let dataBytes = 0;
  for (const [name, { shape, data }] of weights) {
    if (name === METADATA) throw new AgentError("tensor/shape", `"${METADATA}" cannot name a weight array`);
    if (elementCount(shape) !== data.length)
      throw new AgentError("tensor/shape", `weight "${name}" has shape [${shape}] but ${data.length} elements`);
    header[name] = { dtype: "F32", shape, data_offsets: [dataBytes, dataBytes + data.length * 4] };
    dataBytes += data.length * 4;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(PREFIX_BYTES + headerBytes + dataBytes);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(headerBytes), true);
  bytes.fill(0x20, PREFIX_BYTES, PREFIX_BYTES + headerBytes);
  bytes.set(json, PREFIX_BYTES);
  let at = PREFIX_BYTES + headerBytes;
  for (const { data } of weights.values()) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/**
 * Reads a safetensors file of F32, F16 and BF16 arrays; all come back as float32.
 *
 * @param sourceName how the error names the file.
 * @throws CheckpointError as {@link readSafetensorsHeader}.
 */
export function decodeSafetensors(bytes: Uint8Array, sourceName: string): SafetensorsContent {
  const file = bytesAsFile(bytes, sourceName);
  const { tensors, metadata } = readSafetensorsHeader(file);
  const weights = new Map<string, WeightArray>();
  for (const tensor of tensors) weights.set(tensor.name, readTensor(file, tensor));
  return { weights, metadata };
}

/**
 * Reads and checks a safetensors header against the size of its file.
 *
 * @throws CheckpointError `checkpoint/corrupt` when the file is not whole and well formed, `checkpoint/unsupported` for other types.
 */
export function readSafetensorsHeader(file: SourceFile): SafetensorsHeader {
  const { header, dataStart } = readJson(file);
  const metadata = readMetadata(header[METADATA], file.name);
  const tensors = Object.entries(header)
    .filter(([name]) => name !== METADATA)
    .map(([name, entry]) => readEntry(file.name, name, entry, dataStart))
    .sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let end = dataStart;
  for (const { name, offset, bytes } of tensors) {
    if (offset !== end) throw corrupt(file.name, `data from byte ${end} on`, `data from byte ${offset} on`, name);
    end = offset + bytes;
  }
  if (end !== file.size) throw corrupt(file.name, `${end} bytes, as its header describes`, `${file.size} bytes`);
  return { tensors, metadata };
}

function corrupt(file: string, expected: string, found: string, tensor?: string): CheckpointError {
  return new CheckpointError("corrupt", { file, expected, found, ...(tensor === undefined ? {} : { tensor }) });
}

function readJson(file: SourceFile): { header: Record<string, unknown>; dataStart: number } {
  if (file.size < PREFIX_BYTES) throw corrupt(file.name, "a length prefix of 8 bytes", `${file.size} bytes`);
  const length = new DataView(file.read(0, PREFIX_BYTES).buffer).getBigUint64(0, true);
  const room = Math.min(MAX_HEADER_BYTES, file.size - PREFIX_BYTES);
  if (length > BigInt(room)) throw corrupt(file.name, `a header of at most ${room} bytes`, `one of ${length}`);
  const dataStart = PREFIX_BYTES + Number(length);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(file.read(PREFIX_BYTES, Number(length))));
  } catch {
    throw corrupt(file.name, "a header in JSON", "other text");
  }
  if (!isRecord(header)) throw corrupt(file.name, "a JSON object as header", "other JSON");
  return { header, dataStart };
}

function readMetadata(value: unknown, file: string): Record<string, string> {
  if (value === undefined) return {};
  if (!isRecord(value)) throw corrupt(file, "metadata in an object", JSON.stringify(value).slice(0, 80));
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") throw corrupt(file, `text as metadata "${key}"`, typeof text);
  }
  return value as Record<string, string>;
}

function readEntry(file: string, name: string, entry: unknown, dataStart: number): StoredTensor {
  const shown = JSON.stringify(entry).slice(0, 120);
  if (!isRecord(entry)) throw corrupt(file, "an object with dtype, shape and data_offsets", shown, name);
  const { dtype, shape, data_offsets: offsets } = entry;
  const type = typeof dtype === "string" ? SAFETENSORS_TYPES.get(dtype) : undefined;
  if (type === undefined) {
    const expected = `a type among ${[...SAFETENSORS_TYPES.keys()].join(", ")}`;
    throw new CheckpointError("unsupported", { file, tensor: name, expected, found: JSON.stringify(dtype) ?? "none" });
  }
  if (!isSizes(shape)) throw corrupt(file, "a shape of whole numbers", shown, name);
  if (!isSizes(offsets) || offsets.length !== 2) throw corrupt(file, "two data_offsets", shown, name);
  const [begin, end] = offsets as [number, number];
  const bytes = elementCount(shape) * type.blockBytes;
  if (end - begin !== bytes) {
    throw corrupt(file, `${bytes} bytes of ${type.name} for shape [${shape.join(", ")}]`, `${end - begin} bytes`, name);
  }
  return { name, shape, type, offset: dataStart + begin, bytes };
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
