import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentError, messageOf } from "@afterstate/core";
import { claimFolder, type PolicyBase } from "@afterstate/learner";

/** Where a run keeps events, versions and memories. */
export interface DataFolder {
  readonly folder: string;
  /** Removes a folder that was made for this run alone; keeps one that was named. */
  remove(): Promise<void>;
}

/**
 * Opens the folder `data`, or a new one that does not outlive the run.
 *
 * @param base over what the run learns. @throws AgentError `demo/bad-data-folder`, `checkpoint/other-base`.
 */
export async function openDataFolder(data: string | undefined, base: PolicyBase): Promise<DataFolder> {
  if (data === undefined) {
    const folder = await mkdtemp(join(tmpdir(), "afterstate-"));
    return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
  }
  try {
    await mkdir(data, { recursive: true });
  } catch (cause) {
    throw new AgentError(
      "demo/bad-data-folder",
      `the data folder "${data}" cannot be used: ${messageOf(cause)}; choose one that this process may write`,
      { cause },
    );
  }
  await claimFolder(data, base);
  return { folder: data, remove: async () => {} };
}
