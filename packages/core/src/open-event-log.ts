import { type FileHandle, mkdir, open, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { lockDirectory } from "./directory-lock.js";
import { AgentError, messageOf } from "./errors.js";
import type { AgentEvent } from "./event.js";
import type { EventLog, LogRecord } from "./event-log.js";
import { encodeRecords, RECORD_HEADER_BYTES } from "./log-record.js";
import { addRecord, emptySegment, type LogSegment, readSegment, scanSegment } from "./log-segment.js";

/** How an event log on disk behaves. */
export interface EventLogOptions {
  /**
   * When a record counts as kept. "always": once the disk has it; it survives a power cut. "interval" (default): once
   * the system has it; it survives the death of the process, and a power cut costs at most the last interval.
   * "never": like "interval", but the disk is never asked.
   */
  readonly fsync?: "always" | "interval" | "never";
  readonly fsyncIntervalMs?: number;
  /** A file that has grown this long is followed by a new one. */
  readonly segmentBytes?: number;
}

const DEFAULT_FSYNC_INTERVAL_MS = 1_000;
const DEFAULT_SEGMENT_BYTES = 64 * 1024 * 1024;
const SEGMENT_NAME = /^\d{8}\.log$/;

type Waiting = {
  readonly line: string;
  readonly resolve: (offset: number) => void;
  readonly reject: (failure: unknown) => void;
};

/**
 * Opens the event log of a directory, which is made when it is not there. Owns the directory's single-writer lock until
 * it is closed.
 *
 * @throws AgentError `log/locked`, `log/corrupt` or `log/unusable`.
 */
export async function openEventLog(directory: string, options: EventLogOptions = {}): Promise<EventLog> {
  let unlock = async () => {};
  try {
    await mkdir(directory, { recursive: true });
    unlock = await lockDirectory(directory);
    const { segments, cutBytes } = await scanDirectory(directory);
    return new SegmentedEventLog(directory, options, segments, cutBytes, unlock);
  } catch (cause) {
    await unlock();
    if (AgentError.isInstance(cause)) throw cause;
    const message = `the event log directory "${directory}" cannot be used: ${messageOf(cause)}; choose a directory that this process may write`;
    throw new AgentError("log/unusable", message, { cause });
  }
}

/** Checks every file of a log and cuts a torn tail. */
export async function scanDirectory(directory: string): Promise<{ segments: LogSegment[]; cutBytes: number }> {
  const names = (await readdir(directory)).filter((name) => SEGMENT_NAME.test(name)).sort();
  const segments: LogSegment[] = [];
  let first = 0;
  for (const [index, name] of names.entries()) {
    const path = join(directory, segmentName(index + 1));
    if (name !== segmentName(index + 1)) {
      throw new AgentError(
        "log/corrupt",
        `the event log file "${path}" is missing, though later ones are there; restore it from a copy`,
      );
    }
    const bytes = await readFile(path);
    const segment = emptySegment(path, first);
    const cutBytes = scanSegment(bytes, segment, index === names.length - 1);
    if (cutBytes > 0) await truncate(segment);
    first += segment.count;
    segments.push(segment);
    if (index === names.length - 1) return { segments, cutBytes };
  }
  return { segments, cutBytes: 0 };
}

async function truncate(segment: LogSegment): Promise<void> {
  const file = await open(segment.path, "r+");
  try {
    await file.truncate(segment.bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

const segmentName = (number: number) => `${String(number).padStart(8, "0")}.log`;

class SegmentedEventLog implements EventLog {
  readonly cutBytes: number;
  readonly #directory: string;
  readonly #fsync: "always" | "interval" | "never";
  readonly #fsyncIntervalMs: number;
  readonly #segmentBytes: number;
  readonly #segments: LogSegment[];
  readonly #unlock: () => Promise<void>;
  #file: FileHandle | undefined;
  #queue: Waiting[] = [];
  #nextOffset: number;
  #flushing: Promise<void> | undefined;
  /** Called when the batch that is being written is over. */
  #afterBatch: (() => void)[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Why nothing can be written any more. */
  #broken: unknown;
  #closing: Promise<void> | undefined;

  constructor(
    directory: string,
    { fsync = "interval", fsyncIntervalMs, segmentBytes }: EventLogOptions,
    segments: LogSegment[],
    cutBytes: number,
    unlock: () => Promise<void>,
  ) {
    this.#directory = directory;
    this.#fsync = fsync;
    this.#fsyncIntervalMs = fsyncIntervalMs ?? DEFAULT_FSYNC_INTERVAL_MS;
    this.#segmentBytes = segmentBytes ?? DEFAULT_SEGMENT_BYTES;
    this.#segments = segments;
    this.cutBytes = cutBytes;
    this.#unlock = unlock;
    this.#nextOffset = this.#kept;
  }

  get nextOffset(): number {
    return this.#nextOffset;
  }

  /** Records that are in the files. */
  get #kept(): number {
    const last = this.#segments.at(-1);
    return last ? last.first + last.count : 0;
  }

  append(event: AgentEvent): Promise<number> {
    if (this.#closing) {
      return Promise.reject(new AgentError("log/closed", `the event log "${this.#directory}" is closed`));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ line: JSON.stringify(event), resolve, reject });
      this.#nextOffset++;
      this.#flushing ??= new Promise<void>((start) => setImmediate(start)).then(() => this.#flush());
    });
  }

  async *read(from: number): AsyncGenerator<LogRecord> {
    const end = this.#nextOffset;
    while (this.#flushing && this.#kept < end) await new Promise<void>((over) => this.#afterBatch.push(over));
    const to = Math.min(end, this.#kept);
    for (const segment of [...this.#segments]) {
      if (segment.first + segment.count <= from || segment.first >= to) continue;
      let offset = Math.max(from, segment.first);
      const last = Math.min(to, segment.first + segment.count) - segment.first;
      for await (const line of readSegment(segment, offset - segment.first, last)) {
        yield { offset: offset++, event: JSON.parse(line) };
      }
    }
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#flushing;
      clearTimeout(this.#timer);
      try {
        if (this.#fsync !== "never") await this.#file?.sync();
        await this.#file?.close();
      } finally {
        await this.#unlock();
      }
    })();
    return this.#closing;
  }

  /** Writes what is queued, batch after batch, until nothing is. Never rejects. */
  async #flush(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      const first = this.#kept;
      try {
        await this.#write(batch);
        for (const [index, { resolve }] of batch.entries()) resolve(first + index);
      } catch (cause) {
        await this.#refuse(batch, cause);
      }
      for (const over of this.#afterBatch.splice(0)) over();
    }
    this.#flushing = undefined;
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken;
    const file = await this.#writable();
    const bytes = encodeRecords(batch.map(({ line }) => line));
    const segment = this.#segments.at(-1)!;
    await writeAll(file, bytes, segment.bytes);
    if (this.#fsync === "always") await file.datasync();
    for (let at = 0; at < bytes.length; ) {
      const size = RECORD_HEADER_BYTES + bytes.readUInt32LE(at + 4);
      addRecord(segment, size);
      at += size;
    }
    if (this.#fsync === "interval") this.#syncLater(file);
  }

  /** The file that takes the next records. */
  async #writable(): Promise<FileHandle> {
    const last = this.#segments.at(-1);
    if (last && last.bytes < this.#segmentBytes) {
      this.#file ??= await open(last.path, "r+");
      return this.#file;
    }
    if (this.#file) {
      if (this.#fsync !== "never") await this.#file.sync();
      await this.#file.close();
      this.#file = undefined;
    }
    const path = join(this.#directory, segmentName(this.#segments.length + 1));
    this.#file = await open(path, "wx+");
    this.#segments.push(emptySegment(path, this.#kept));
    if (this.#fsync !== "never") await syncDirectory(this.#directory);
    return this.#file;
  }

  /** Takes back a batch that could not be written, and all that was queued behind it, so that no offset is skipped. */
  async #refuse(batch: readonly Waiting[], cause: unknown): Promise<void> {
    const refused = [...batch, ...this.#queue];
    this.#queue = [];
    this.#nextOffset = this.#kept;
    const path = this.#segments.at(-1)?.path ?? this.#directory;
    const message = `the event log could not write "${path}": ${messageOf(cause)}; free space or mend the disk, and try again`;
    for (const { reject } of refused) reject(new AgentError("log/write-failed", message, { cause, retryable: true }));
    await this.#file?.truncate(this.#segments.at(-1)!.bytes).catch(this.#onBroken);
  }

  #syncLater(file: FileHandle): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (file === this.#file) file.datasync().catch(this.#onBroken);
    }, this.#fsyncIntervalMs);
    this.#timer.unref();
  }

  readonly #onBroken = (cause: unknown) => {
    this.#broken ??= cause;
  };
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}

/** Makes what was made or renamed in a directory last. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
