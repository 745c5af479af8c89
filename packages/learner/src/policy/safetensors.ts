import { AgentError } from "@afterstate/core";
import type { PolicyWeights, WeightArray } from "../types.js";

const BYTES: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2 };
const METADATA = "__metadata__";
const PREFIX_BYTES = 8;
const MAX_HEADER_BYTES = 100_000_000;

/** What a safetensors file holds. */
export interface SafetensorsContent {
  readonly weights: PolicyWeights;
  readonly metadata: Readonly<Record<string, string>>;
}

interface TensorEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
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
 * @throws AgentError `checkpoint/corrupt` when the bytes are not one whole, well-formed file.
 */
export function decodeSafetensors(bytes: Uint8Array, sourceName: string): SafetensorsContent {
  const corrupt = (fact: string): AgentError =>
    new AgentError(
      "checkpoint/corrupt",
      `"${sourceName}" is not a whole safetensors file: ${fact}; put back an intact copy of it or use another version`,
    );
  const { header, dataStart } = readHeader(bytes, corrupt);
  const metadata = readMetadata(header[METADATA], corrupt);
  const entries = Object.entries(header)
    .filter(([name]) => name !== METADATA)
    .map(([name, entry]) => readEntry(name, entry, corrupt))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  let expected = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== expected) throw corrupt(`array "${name}" begins at byte ${begin} of the data, not at ${expected}`);
    expected = end;
  }
  if (dataStart + expected !== bytes.length)
    throw corrupt(`its header describes ${dataStart + expected} bytes and it has ${bytes.length}`);
  const weights = new Map<string, WeightArray>();
  for (const { name, dtype, shape, begin, end } of entries)
    weights.set(name, {
      shape,
      data: toFloat32(dtype, new Uint8Array(bytes.subarray(dataStart + begin, dataStart + end))),
    });
  return { weights, metadata };
}

function readHeader(
  bytes: Uint8Array,
  corrupt: (fact: string) => AgentError,
): { header: Record<string, unknown>; dataStart: number } {
  if (bytes.length < PREFIX_BYTES) throw corrupt(`it has ${bytes.length} bytes, fewer than its length prefix`);
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(0, true);
  if (length > BigInt(Math.min(MAX_HEADER_BYTES, bytes.length - PREFIX_BYTES)))
    throw corrupt(`its header is said to take ${length} bytes and it has ${bytes.length}`);
  const dataStart = PREFIX_BYTES + Number(length);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(PREFIX_BYTES, dataStart)));
  } catch {
    throw corrupt("its header is not JSON");
  }
  if (!isRecord(header)) throw corrupt("its header is not a JSON object");
  return { header, dataStart };
}

function readMetadata(value: unknown, corrupt: (fact: string) => AgentError): Record<string, string> {
  if (value === undefined) return {};
  if (!isRecord(value)) throw corrupt("its metadata is not an object");
  for (const [key, text] of Object.entries(value))
    if (typeof text !== "string") throw corrupt(`its metadata entry "${key}" is not a string`);
  return value as Record<string, string>;
}

function readEntry(name: string, entry: unknown, corrupt: (fact: string) => AgentError): TensorEntry {
  if (!isRecord(entry)) throw corrupt(`the entry of array "${name}" is not an object`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== "string" || !Object.hasOwn(BYTES, dtype))
    throw corrupt(`array "${name}" has the unsupported type ${JSON.stringify(dtype)}`);
  if (!isSizes(shape)) throw corrupt(`array "${name}" has no valid shape`);
  if (!isSizes(offsets) || offsets.length !== 2) throw corrupt(`array "${name}" has no valid offsets`);
  const [begin, end] = offsets as [number, number];
  if (end - begin !== elementCount(shape) * BYTES[dtype]!)
    throw corrupt(`array "${name}" of shape [${shape}] and type ${dtype} cannot take ${end - begin} bytes`);
  return { name, dtype, shape, begin, end };
}

function toFloat32(dtype: string, bytes: Uint8Array): Float32Array {
  if (dtype === "F32") return new Float32Array(bytes.buffer);
  const halves = new Uint16Array(bytes.buffer);
  if (dtype === "BF16") return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
  return Float32Array.from(halves, halfToNumber);
}

/** IEEE 754 binary16: (−1)^s · 2^(e−15) · (1 + f/1024); e = 0: (−1)^s · 2^−14 · f/1024; e = 31: ∞ or NaN. */
function halfToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * 2 ** -24 * fraction;
  return sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
}

function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
