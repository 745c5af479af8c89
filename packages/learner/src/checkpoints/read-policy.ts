import { existsSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { CheckpointError } from "./checkpoint-error.js";
import { fetchHubFolder, HUB_ID, type HubOptions } from "./hub-folder.js";
import { type PolicyFiles, readPolicyFolder } from "./policy-folder.js";
import { readGguf } from "./read-gguf.js";

/** Where models of the hub are kept when no folder is named. */
export const DEFAULT_CACHE_FOLDER = join(homedir(), ".cache", "afterstate", "models");

/**
 * Reads a policy: a Hugging Face folder, a GGUF file, or the id of a model of the Hugging Face hub, which is downloaded once. What lies at
 * the path `source` goes before a model of that name.
 *
 * @throws CheckpointError naming file, tensor, expected and found.
 */
export async function readPolicy(source: string, options: Partial<HubOptions> = {}): Promise<PolicyFiles> {
  const { onProgress, cacheFolder = DEFAULT_CACHE_FOLDER } = options;
  if (existsSync(source)) {
    return statSync(source).isDirectory() ? readPolicyFolder(source, onProgress) : readGguf(source, onProgress);
  }
  if (HUB_ID.test(source) && !source.endsWith(".gguf")) {
    return readPolicyFolder(await fetchHubFolder(source, { ...options, cacheFolder }), onProgress);
  }
  throw new CheckpointError("missing", {
    file: source,
    expected: "a folder, a .gguf file or an id such as owner/name",
    found: "none of them",
  });
}
