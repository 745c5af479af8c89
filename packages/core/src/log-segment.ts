import { type FileHandle, open } from "node:fs/promises";
import { AgentError } from "./errors.js";
import { findRecord, RECORD_HEADER_BYTES, recordEnd } from "./log-record.js";

/** Every so many records the place in the file is kept in memory. */
const MARK_EVERY = 64;
const READ_BYTES = 256 * 1024;

/** What is known of one file of the log. */
export interface LogSegment {
  readonly path: string;
  /** The offset of its first record. */
  readonly first: number;
  /** Its records so far. */
  count: number;
  /** Its length in bytes. */
  bytes: number;
  /** Where the records 0, 64, 128, … of the file begin, in bytes. */
  readonly marks: number[];
}

/** A segment without records. */
export function emptySegment(path: string, first: number): LogSegment {
  return { path, first, count: 0, bytes: 0, marks: [] };
}

/** Notes a record of `size` bytes at the end of the segment. */
export function addRecord(segment: LogSegment, size: number): void {
  if (segment.count % MARK_EVERY === 0) segment.marks.push(segment.bytes);
  segment.count++;
  segment.bytes += size;
}

/**
 * Checks a whole file. Of the last file of a log, a tail that was being written when the process or the machine died
 * is left out; its length in bytes is returned.
 *
 * @throws AgentError `log/corrupt` for any other damage.
 */
export function scanSegment(bytes: Buffer, segment: LogSegment, isLast: boolean): number {
  while (segment.bytes < bytes.length) {
    const end = recordEnd(bytes, segment.bytes);
    if (typeof end === "number") {
      addRecord(segment, end - segment.bytes);
      continue;
    }
    if (!isLast || findRecord(bytes, segment.bytes + 1) !== -1) throw corrupt(segment, segment.bytes, segment.count);
    return bytes.length - segment.bytes;
  }
  return 0;
}

/** The payloads of a segment's records from the `from`-th on, up to the `to`-th, which is left out. */
export async function* readSegment(segment: LogSegment, from: number, to: number): AsyncGenerator<string> {
  if (from >= to) return;
  const mark = Math.floor(from / MARK_EVERY);
  let index = mark * MARK_EVERY;
  const file = await open(segment.path, "r");
  try {
    let position = segment.marks[mark]!;
    let bytes = Buffer.alloc(0);
    let at = 0;
    while (index < to) {
      const end = recordEnd(bytes, at);
      if (typeof end === "number") {
        if (index >= from) yield bytes.toString("utf8", at + RECORD_HEADER_BYTES, end - 1);
        at = end;
        index++;
        continue;
      }
      if (end === "corrupt") throw corrupt(segment, position - bytes.length + at, index);
      const more = await readMore(file, position, neededBytes(bytes, at));
      if (more.length === 0) throw corrupt(segment, position - bytes.length + at, index);
      position += more.length;
      bytes = Buffer.concat([bytes.subarray(at), more]);
      at = 0;
    }
  } finally {
    await file.close();
  }
}

/** How many bytes to read so that the record at `at` becomes whole. */
function neededBytes(bytes: Buffer, at: number): number {
  if (at + RECORD_HEADER_BYTES > bytes.length) return READ_BYTES;
  return Math.max(READ_BYTES, at + RECORD_HEADER_BYTES + bytes.readUInt32LE(at + 4) - bytes.length);
}

async function readMore(file: FileHandle, position: number, size: number): Promise<Buffer> {
  const { size: fileBytes } = await file.stat();
  const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(size, fileBytes - position)));
  const { bytesRead } = await file.read(bytes, 0, bytes.length, position);
  return bytes.subarray(0, bytesRead);
}

function corrupt(segment: LogSegment, position: number, index: number): AgentError {
  return new AgentError(
    "log/corrupt",
    `the event log file "${segment.path}" is corrupt at byte ${position} (record ${segment.first + index}); restore the file from a copy, or move the log away to start a new one`,
  );
}
