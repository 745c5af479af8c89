import { crc32 } from "node:zlib";

/**
 * One record on disk: checksum, length, payload. Checksum and length are 32-bit little endian; the checksum (CRC-32)
 * covers length and payload; the payload is one line of JSON, ending in a newline, so that the files stay greppable.
 */
export const RECORD_HEADER_BYTES = 8;

/** Records of these lines of JSON, one after the other. */
export function encodeRecords(lines: readonly string[]): Buffer {
  let size = 0;
  for (const line of lines) size += RECORD_HEADER_BYTES + Buffer.byteLength(line) + 1;
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  for (const line of lines) {
    const length = bytes.write(line, at + RECORD_HEADER_BYTES) + 1;
    const end = at + RECORD_HEADER_BYTES + length;
    bytes[end - 1] = NEWLINE;
    bytes.writeUInt32LE(length, at + 4);
    bytes.writeUInt32LE(crc32(bytes.subarray(at + 4, end)), at);
    at = end;
  }
  return bytes;
}

/**
 * The end of the record that begins at `at`, if there is a whole and sound one.
 * "torn": the bytes end before the record does. "corrupt": the checksum does not match.
 */
export function recordEnd(bytes: Buffer, at: number): number | "torn" | "corrupt" {
  if (at + RECORD_HEADER_BYTES > bytes.length) return "torn";
  const length = bytes.readUInt32LE(at + 4);
  const end = at + RECORD_HEADER_BYTES + length;
  if (end > bytes.length) return "torn";
  if (length === 0 || crc32(bytes.subarray(at + 4, end)) !== bytes.readUInt32LE(at)) return "corrupt";
  return end;
}

/** Where the first sound record at or after `from` begins, or −1. */
export function findRecord(bytes: Buffer, from: number): number {
  for (let at = from; at + RECORD_HEADER_BYTES < bytes.length; at++) {
    if (bytes[at + RECORD_HEADER_BYTES] !== OPENING_BRACE) continue;
    const end = at + RECORD_HEADER_BYTES + bytes.readUInt32LE(at + 4);
    if (end <= bytes.length && bytes[end - 1] === NEWLINE && typeof recordEnd(bytes, at) === "number") return at;
  }
  return -1;
}

const NEWLINE = 0x0a;
const OPENING_BRACE = 0x7b;
