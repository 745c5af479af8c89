import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { AgentError, messageOf } from "@afterstate/core";
import type { MemoryChange } from "./user-memories.js";
import { lockWriter } from "./writer-lock.js";

/** Where changes are kept in order. */
export interface MemoryJournal {
  /** Keeps changes that belong together: all of them or none. Resolves once they are on the disk. One call at a time. */
  append(changes: readonly MemoryChange[]): Promise<void>;
  close(): Promise<void>;
}

/** A journal with what it held when it was opened. */
export interface OpenedJournal extends MemoryJournal {
  readonly changes: readonly MemoryChange[];
  /** Bytes of a torn tail that were cut, 0 if none. */
  readonly cutBytes: number;
}

const HEADER = { format: "afterstate-memory", version: 1 };

/**
 * Opens a journal file, made with its folder when there is none. A line is the CRC-32 of its JSON in eight hexadecimal
 * digits, a space, the JSON and a line break; a last line without its break was never acknowledged and is cut.
 *
 * @throws AgentError `memory/corrupt` with the line, `memory/locked` while another writer has it open.
 */
export async function openMemoryJournal(path: string): Promise<OpenedJournal> {
  await mkdir(dirname(path), { recursive: true });
  const unlock = await lockWriter(path);
  let file: FileHandle | undefined;
  try {
    file = await open(path, "a+");
    const bytes = await file.readFile();
    const { changes, length } = readLines(path, bytes);
    if (length < bytes.length) await file.truncate(length);
    const journal = journalOf(path, file, length, unlock);
    if (length === 0) await journal.append([HEADER as unknown as MemoryChange]);
    return { ...journal, changes, cutBytes: bytes.length - length };
  } catch (cause) {
    await file?.close();
    await unlock();
    throw cause;
  }
}

function journalOf(path: string, file: FileHandle, from: number, unlock: () => Promise<void>): MemoryJournal {
  let length = from;
  let isBroken = false;
  return {
    async append(changes) {
      const line = Buffer.from(lineOf(changes));
      try {
        if (isBroken) throw new Error("an earlier write failed and could not be undone");
        await file.appendFile(line);
        await file.datasync();
        length += line.length;
      } catch (cause) {
        // What was written of the line must not stay in the middle of the file.
        await file.truncate(length).catch(() => {
          isBroken = true;
        });
        throw new AgentError("memory/write-failed", `memory could not be written to ${path}: ${messageOf(cause)}`, {
          cause,
          retryable: true,
        });
      }
    },
    async close() {
      await file.close();
      await unlock();
    },
  };
}

function lineOf(changes: readonly unknown[]): string {
  const json = JSON.stringify(changes);
  return `${checksum(json)} ${json}\n`;
}

function checksum(json: string): string {
  return crc32(json).toString(16).padStart(8, "0");
}

/** The changes in a file, and how many of its bytes are whole lines. */
function readLines(
  path: string,
  bytes: Buffer,
): { readonly changes: readonly MemoryChange[]; readonly length: number } {
  const length = bytes.lastIndexOf("\n") + 1;
  const header = lineOf([HEADER]);
  if (length === 0 && !header.startsWith(bytes.toString("utf8"))) throw corrupt(path, 1);
  const lines = bytes.toString("utf8", 0, length).split("\n").slice(0, -1);
  const changes = lines.flatMap((line, index): MemoryChange[] => {
    if (index === 0 ? `${line}\n` !== header : line.slice(0, 9) !== `${checksum(line.slice(9))} `) {
      throw corrupt(path, index + 1);
    }
    return index === 0 ? [] : JSON.parse(line.slice(9));
  });
  return { changes, length };
}

function corrupt(path: string, line: number): AgentError {
  return new AgentError(
    "memory/corrupt",
    `line ${line} of the memory file ${path} is damaged; restore the file from a copy, or move it away to begin anew`,
  );
}
