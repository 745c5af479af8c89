import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Writes a file beside its place, flushes it, and puts it in place at once: readers see the old or the new one. */
export async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.tmp`;
  await writeFlushed(temporary, content);
  await rename(temporary, path);
  await flushFolder(dirname(path));
}

/** Writes a folder of files under a temporary name, flushes all, and renames it: it is there whole or not at all. */
export async function createFolder(path: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  const temporary = `${path}.tmp`;
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { recursive: true });
  for (const [name, content] of Object.entries(files)) await writeFlushed(join(temporary, name), content);
  await flushFolder(temporary);
  await removeFolder(path);
  await rename(temporary, path);
  await flushFolder(dirname(path));
}

/** Removes a folder, if it is there, under a temporary name: it is never there in part. */
export async function removeFolder(path: string): Promise<void> {
  const temporary = `${path}.removed.tmp`;
  await rm(temporary, { recursive: true, force: true });
  try {
    await rename(path, temporary);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return;
    throw cause;
  }
  await rm(temporary, { recursive: true, force: true });
}

async function writeFlushed(path: string, content: string | Uint8Array): Promise<void> {
  const file = await open(path, "w");
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes what was renamed in a folder last. */
export async function flushFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
