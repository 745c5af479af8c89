import { randomUUID } from "node:crypto";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { AgentError } from "@afterstate/core";

/** The one process that may write a file. */
interface Holder {
  readonly pid: number;
  /** When the process started, since a pid comes back in a restarted container. Milliseconds since the epoch. */
  readonly startedAt: number;
}

/**
 * Makes this process the one writer of a file, by a lock file beside it. The lock of a process that died is taken over.
 *
 * @returns a function that gives the lock back.
 * @throws AgentError `memory/locked` while another writer lives.
 */
export async function lockWriter(path: string): Promise<() => Promise<void>> {
  const lock = `${path}.lock`;
  const own: Holder = { pid: process.pid, startedAt: performance.timeOrigin };
  const draft = `${lock}.${randomUUID()}`;
  await writeFile(draft, JSON.stringify(own));
  try {
    // A link appears with its content in one step, or fails when the name is taken.
    while (!(await tryLink(draft, lock))) {
      const held = await readFile(lock, "utf8").catch(() => undefined);
      if (held === undefined) continue;
      if (isAlive(held, own)) {
        throw new AgentError(
          "memory/locked",
          `the memory file ${path} has a writer already (${held}); close it first, or delete ${lock} if that process is none of yours`,
        );
      }
      await removeStale(lock, held);
    }
  } finally {
    await rm(draft, { force: true });
  }
  return () => rm(lock, { force: true });
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw cause;
  }
}

/** Moves a dead process's lock away; should another process have taken it over meanwhile, its lock is put back. */
async function removeStale(lock: string, held: string): Promise<void> {
  const aside = `${lock}.${randomUUID()}`;
  try {
    await rename(lock, aside);
  } catch {
    return;
  }
  if ((await readFile(aside, "utf8")) !== held) await tryLink(aside, lock);
  await rm(aside, { force: true });
}

function isAlive(held: string, own: Holder): boolean {
  let holder: Holder;
  try {
    holder = JSON.parse(held) as Holder;
  } catch {
    return false;
  }
  if (holder.pid === own.pid) return holder.startedAt === own.startedAt;
  try {
    process.kill(holder.pid, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM";
  }
}
