import { randomUUID } from "node:crypto";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AgentError } from "./errors.js";

/**
 * Takes the single-writer lock of a directory; the lock of a process that no longer lives is taken over.
 *
 * @returns a function that gives it back.
 * @throws AgentError `log/locked` when another writer lives.
 */
export async function lockDirectory(directory: string): Promise<() => Promise<void>> {
  const path = join(directory, "lock");
  const own = JSON.stringify({ pid: process.pid, started: await startOf(process.pid), id: randomUUID() });
  const draft = join(directory, `lock.${process.pid}.${randomUUID()}`);
  await writeFile(draft, own);
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      if (await linked(draft, path)) return () => unlock(path, own);
      const holder = await readOr(path, "");
      if (holder !== "" && (await isAlive(holder))) throw lockedBy(directory, holder);
      await discard(path, holder, directory);
    }
    throw lockedBy(directory, await readOr(path, ""));
  } finally {
    await rm(draft, { force: true });
  }
}

/** Removes a dead holder's lock, and puts it back when it turns out to be somebody else's by now. */
async function discard(path: string, holder: string, directory: string): Promise<void> {
  const aside = `${path}.stale.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  const moved = await readOr(aside, holder);
  if (moved !== holder) await linked(aside, path);
  await rm(aside, { force: true });
  if (moved !== holder) throw lockedBy(directory, moved);
}

async function unlock(path: string, own: string): Promise<void> {
  if ((await readOr(path, "")) === own) await rm(path, { force: true });
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw cause;
  }
}

async function isAlive(holder: string): Promise<boolean> {
  const { pid, started } = parse(holder);
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  const startedNow = await startOf(pid);
  return startedNow === "" || started === "" || startedNow === started;
}

/** When a process started, so that another one with the same id is not mistaken for it; "" where the system does not tell. */
async function startOf(pid: number): Promise<string> {
  const stat = await readOr(`/proc/${pid}/stat`, "");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

function parse(holder: string): { readonly pid?: number; readonly started?: string } {
  try {
    return JSON.parse(holder);
  } catch {
    return {};
  }
}

async function readOr(path: string, otherwise: string): Promise<string> {
  return readFile(path, "utf8").catch(() => otherwise);
}

function lockedBy(directory: string, holder: string): AgentError {
  const { pid } = parse(holder);
  return new AgentError(
    "log/locked",
    `the event log "${directory}" is in use by ${pid === undefined ? "another process" : `process ${pid}`}; close that one, or use another directory`,
  );
}
