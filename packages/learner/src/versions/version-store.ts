import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { AgentError, messageOf } from "@afterstate/core";
import { assertArraysFit } from "../checkpoints/assert-arrays-fit.js";
import { CheckpointError } from "../checkpoints/checkpoint-error.js";
import { decodeSafetensors } from "../checkpoints/safetensors.js";
import { EMPTY_CREDIT } from "../credit/step-credit.js";
import { assertOptimizerFits } from "../tensor/adam.js";
import type { PolicyWeights } from "../types.js";
import type { BatchRecord, UpdateDigests } from "./batch-record.js";
import { createFolder, flushFolder, removeFolder, replaceFile } from "./durable-files.js";
import { MODEL_FILE, OPTIMIZER_FILE, sha256, versionFiles } from "./version-files.js";
import {
  NO_COUNTS,
  type ServingPointer,
  type VersionManifest,
  versionLine,
  versionNumber,
} from "./version-manifest.js";

const MANIFEST_FILE = "manifest.json";
const POINTER_FILE = "serving";
/** The pointer of the line that is to take the place of the one that serves. */
const NEXT_POINTER_FILE = "serving-next";
const BATCHES = "batches";

interface StoredManifest extends VersionManifest {
  readonly files: Readonly<Record<string, { readonly sha256: string; readonly bytes: number }>>;
}

/** What a start finds: where to go on, and what was wrong. */
export interface Recovery {
  /** Undefined before the first commit. Names the version that is served now, not one that was found damaged. */
  readonly pointer: ServingPointer | undefined;
  /** Undefined when the version that came with the policy serves. */
  readonly weights: PolicyWeights | undefined;
  /** `checkpoint/corrupt` errors that were got over. */
  readonly problems: readonly AgentError[];
}

/**
 * Immutable policy versions and the pointer to the one that serves, in one folder. One writer at a time. What is read is compared with
 * `like`, any weights of the policy that it is read for, where they are given: `checkpoint/mismatch` when it belongs to another one.
 */
export interface VersionStore {
  readonly directory: string;
  /** Ids of the whole version folders of the line, oldest first. */
  versions(): Promise<readonly string[]>;
  /** Keeps a version. It is there whole or not at all; a left-over of the same id is replaced. @returns the checksums of its files. */
  write(manifest: VersionManifest, weights: PolicyWeights, optimizer: PolicyWeights): Promise<UpdateDigests>;
  /** Keeps the record of a batch; a left-over of the same number is replaced. */
  writeBatch(record: BatchRecord): Promise<void>;
  /** @throws AgentError `checkpoint/corrupt` when it cannot be read. */
  batch(sequence: number): Promise<BatchRecord>;
  /** The numbers of all records of the line, also of those that do not count any more. */
  batches(): Promise<readonly number[]>;
  /** @throws AgentError `checkpoint/corrupt`, `policy/unknown-version`. */
  manifest(version: string): Promise<VersionManifest>;
  /** @throws AgentError `checkpoint/corrupt`, `checkpoint/mismatch`, `policy/unknown-version`. */
  weights(version: string, like?: PolicyWeights): Promise<PolicyWeights>;
  /** Undefined when it was pruned. @throws AgentError `checkpoint/corrupt`, `checkpoint/mismatch`, `policy/unknown-version`. */
  optimizer(version: string, like?: PolicyWeights): Promise<PolicyWeights | undefined>;
  /** The pointer as it is; undefined before the first commit. @throws AgentError `checkpoint/corrupt`. */
  pointer(): Promise<ServingPointer | undefined>;
  /** Replaces the pointer at once: the commit point. */
  point(pointer: ServingPointer): Promise<void>;
  /**
   * Where to go on after a stop of any kind; `base` is the version that comes with the policy. A serving version whose files are damaged is left for its newest intact
   * ancestor, together with what that one had learned up to and its totals: what the damaged one had learned is then learned again.
   *
   * @throws AgentError `checkpoint/mismatch` when the folder belongs to another policy: nothing is left behind for that.
   */
  recover(base: string, like?: PolicyWeights): Promise<Recovery>;
  /** Notes whether a version may serve after a stop that destroyed the pointer: not so once it was rolled back from. */
  mark(version: string, promoted: boolean): Promise<void>;
  /** Removes all but the newest `keep` versions and those in use, and every optimizer file but theirs. */
  prune(keep: number, inUse: readonly string[]): Promise<void>;
  /**
   * A store for a new line of versions beside the one that serves, with a pointer of its own. What a stop left of such a line is gone on
   * from when it was begun for the same wish to unlearn, and removed otherwise.
   */
  nextLine(unlearnedUpTo: number): Promise<{ readonly line: number; readonly store: VersionStore }>;
  /** Puts the pointer of the next line in the place of the one that serves, at once, and removes all versions and records of the old line. */
  adoptNextLine(): Promise<void>;
}

/** Which versions, records and pointer of a folder a store sees. */
interface Line {
  number: number;
  readonly pointerFile: string;
}

/** Opens a folder of policy versions, making it when it is not there. What a crash left half-written or half-removed goes. */
export async function openVersionStore(directory: string): Promise<VersionStore> {
  await mkdir(join(directory, BATCHES), { recursive: true });
  for (const folder of [directory, join(directory, BATCHES)])
    for (const name of await readdir(folder))
      if (name.endsWith(".tmp")) await rm(join(folder, name), { recursive: true, force: true });
  const line = { number: await servingLine(directory), pointerFile: POINTER_FILE };
  await removeLines(directory, (number) => number < line.number);
  return storeOf(directory, line);
}

/** The line that the pointer names; when it cannot be read the oldest one that has versions, for a newer one may not be whole. */
async function servingLine(directory: string): Promise<number> {
  try {
    return (JSON.parse(await readFile(join(directory, POINTER_FILE), "utf8")) as ServingPointer).line ?? 0;
  } catch {
    const lines = (await readdir(directory)).map(versionLine).filter((number) => number !== undefined);
    return lines.length === 0 ? 0 : Math.min(...lines);
  }
}

async function removeLines(directory: string, isRemoved: (line: number) => boolean): Promise<void> {
  const remove = (...path: string[]) => rm(join(directory, ...path), { recursive: true, force: true });
  for (const name of await readdir(directory)) {
    const line = versionLine(name);
    if (line !== undefined && isRemoved(line)) await remove(name);
  }
  for (const name of await readdir(join(directory, BATCHES)))
    if (isRemoved(Number(name.split("-", 1)[0]))) await remove(BATCHES, name);
}

function storeOf(directory: string, line: Line): VersionStore {
  const versions = async () =>
    (await readdir(directory))
      .filter((name) => versionLine(name) === line.number)
      .sort((a, b) => versionNumber(a) - versionNumber(b));

  const batchFile = (sequence: number) => join(directory, BATCHES, `${line.number}-${sequence}.json`);

  const readBatch = async (sequence: number): Promise<BatchRecord> => {
    try {
      return JSON.parse(await readFile(batchFile(sequence), "utf8")) as BatchRecord;
    } catch (cause) {
      throw corrupt(batchFile(sequence), "the record of a batch", messageOf(cause));
    }
  };

  const batches = async (): Promise<readonly number[]> => {
    const found = (await readdir(join(directory, BATCHES))).map((name) => /^(\d+)-(\d+)\.json$/.exec(name));
    const own = found.flatMap((match) => (match && Number(match[1]) === line.number ? [Number(match[2])] : []));
    return own.sort((a, b) => a - b);
  };

  /** The pointer of an older version: what that version had learned up to, or of the base: nothing. */
  const fallBack = async (
    pointer: ServingPointer | undefined,
    to: VersionManifest | string,
  ): Promise<ServingPointer> => {
    const manifest = typeof to === "string" ? undefined : to;
    const highest = (await versions()).reduce((most, version) => Math.max(most, versionNumber(version)), 0);
    const counts = manifest && (await readBatch(manifest.batch).catch(() => undefined))?.counts;
    return {
      sequence: Math.max(pointer?.sequence ?? 0, highest, (await batches()).at(-1) ?? 0),
      line: line.number,
      lastBatch: manifest?.batch ?? 0,
      unlearnedUpTo: pointer?.unlearnedUpTo ?? 0,
      version: typeof to === "string" ? to : to.version,
      ancestors: manifest?.ancestors ?? [],
      lastNumber: Math.max(pointer?.lastNumber ?? 0, highest),
      learned: manifest?.learned ?? { offset: 0, consumed: [], credit: EMPTY_CREDIT },
      rewards: pointer?.rewards ?? {},
      counts: counts ?? NO_COUNTS,
      outbox: pointer?.outbox ?? [],
    };
  };

  const readManifest = async (version: string): Promise<StoredManifest> => {
    const path = join(directory, version, MANIFEST_FILE);
    const text = await readVersionFile(version, path);
    try {
      const manifest = JSON.parse(text.toString("utf8")) as StoredManifest;
      if (manifest.version !== version || typeof manifest.files !== "object")
        throw new Error("it describes no version");
      return manifest;
    } catch (cause) {
      throw corrupt(path, `the manifest of ${version}`, messageOf(cause));
    }
  };

  const readVersionFile = async (version: string, path: string) => {
    try {
      return await readFile(path);
    } catch (cause) {
      if ((await versions()).includes(version)) throw corrupt(path, "a file", messageOf(cause));
      throw new AgentError("policy/unknown-version", `policy version "${version}" is not in "${directory}"`, { cause });
    }
  };

  const readArrays = async (version: string, name: string): Promise<PolicyWeights | undefined> => {
    const path = join(directory, version, name);
    const described = (await readManifest(version)).files[name];
    if (described === undefined) return undefined;
    const bytes = await readVersionFile(version, path);
    if (bytes.length !== described.bytes) throw corrupt(path, `${described.bytes} bytes`, `${bytes.length}`);
    if (sha256(bytes) !== described.sha256) throw corrupt(path, "the checksum of the manifest", "another");
    return decodeSafetensors(bytes, path).weights;
  };

  const readWeights = async (version: string, like: PolicyWeights | undefined): Promise<PolicyWeights> => {
    const weights = await readArrays(version, MODEL_FILE);
    if (weights === undefined)
      throw corrupt(join(directory, version, MANIFEST_FILE), "a model file", "none in its list");
    if (like !== undefined) assertArraysFit(join(directory, version, MODEL_FILE), weights, shapesOf(like));
    return weights;
  };

  const readPointer = async (): Promise<ServingPointer | undefined> => {
    const path = join(directory, line.pointerFile);
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw corrupt(path, "a file", messageOf(cause));
    }
    try {
      const pointer = JSON.parse(text) as ServingPointer;
      if (typeof pointer.version !== "string" || typeof pointer.learned?.offset !== "number")
        throw new Error("it names no version");
      return pointer;
    } catch (cause) {
      throw corrupt(path, "a pointer to a version", messageOf(cause));
    }
  };

  return {
    directory,
    versions,
    async write(manifest, weights, optimizer) {
      const files = versionFiles({ weights, optimizer });
      const describe = (bytes: Uint8Array) => ({ sha256: sha256(bytes), bytes: bytes.length });
      const described = {
        [MODEL_FILE]: describe(files[MODEL_FILE]),
        [OPTIMIZER_FILE]: describe(files[OPTIMIZER_FILE]),
      };
      const stored: StoredManifest = { ...manifest, files: described };
      await createFolder(join(directory, manifest.version), {
        ...files,
        [MANIFEST_FILE]: `${JSON.stringify(stored, undefined, 1)}\n`,
      });
      return { weights: described[MODEL_FILE].sha256, optimizer: described[OPTIMIZER_FILE].sha256 };
    },
    writeBatch: (record) => replaceFile(batchFile(record.sequence), `${JSON.stringify(record)}\n`),
    batch: readBatch,
    batches,
    pointer: readPointer,
    manifest: readManifest,
    weights: readWeights,
    async optimizer(version, like) {
      const present = (await readdir(join(directory, version)).catch((): string[] => [])).includes(OPTIMIZER_FILE);
      const optimizer = present ? await readArrays(version, OPTIMIZER_FILE) : undefined;
      if (like !== undefined) assertOptimizerFits(like, optimizer, join(directory, version, OPTIMIZER_FILE));
      return optimizer;
    },
    point: (pointer) => replaceFile(join(directory, line.pointerFile), `${JSON.stringify(pointer)}\n`),
    async recover(base, like) {
      const problems: AgentError[] = [];
      let pointer: ServingPointer | undefined;
      let candidates: readonly string[];
      try {
        pointer = await readPointer();
        if (pointer === undefined) return { pointer, weights: undefined, problems };
        candidates = [pointer.version, ...pointer.ancestors];
      } catch (cause) {
        problems.push(asAgentError(cause));
        candidates = (await versions()).toReversed();
      }
      for (const version of candidates) {
        if (version === base) break;
        try {
          const weights = await readWeights(version, like);
          if (version === pointer?.version) return { pointer, weights, problems };
          const manifest = await readManifest(version);
          if (manifest.promoted) return { pointer: await fallBack(pointer, manifest), weights, problems };
        } catch (cause) {
          const problem = asAgentError(cause);
          if (problem.code === "checkpoint/mismatch") throw problem;
          if (problem.code !== "policy/unknown-version") problems.push(problem);
          else if (version === pointer?.version) problems.push(corrupt(join(directory, version), "a folder", "none"));
        }
      }
      if (pointer?.version === base) return { pointer, weights: undefined, problems };
      return { pointer: await fallBack(pointer, base), weights: undefined, problems };
    },
    async mark(version, promoted) {
      const manifest = await readManifest(version);
      const text = `${JSON.stringify({ ...manifest, promoted }, undefined, 1)}\n`;
      await replaceFile(join(directory, version, MANIFEST_FILE), text);
    },
    async prune(keep, inUse) {
      const all = await versions();
      const kept = new Set([...all.slice(Math.max(0, all.length - keep)), ...inUse]);
      for (const version of all) {
        const path = join(directory, version);
        if (!kept.has(version)) await removeFolder(path);
        else if (!inUse.includes(version)) await rm(join(path, OPTIMIZER_FILE), { force: true });
      }
    },
    async nextLine(unlearnedUpTo) {
      const next = { number: line.number + 1, pointerFile: NEXT_POINTER_FILE };
      const store = storeOf(directory, next);
      const pointer = await store.pointer().catch(() => undefined);
      if (pointer?.unlearnedUpTo !== unlearnedUpTo) {
        await rm(join(directory, NEXT_POINTER_FILE), { force: true });
        await removeLines(directory, (number) => number > line.number);
      }
      return { line: next.number, store };
    },
    async adoptNextLine() {
      await rename(join(directory, NEXT_POINTER_FILE), join(directory, POINTER_FILE));
      await flushFolder(directory);
      line.number += 1;
      await removeLines(directory, (number) => number !== line.number);
    },
  };
}

function corrupt(file: string, expected: string, found: string): CheckpointError {
  const remedy = "put back an intact copy of it, or let the learner go on from the version before";
  return new CheckpointError("corrupt", { file, expected, found, remedy });
}

function shapesOf(weights: PolicyWeights): ReadonlyMap<string, readonly number[]> {
  return new Map([...weights].map(([name, { shape }]) => [name, shape]));
}

function asAgentError(cause: unknown): AgentError {
  return AgentError.isInstance(cause) ? cause : new AgentError("checkpoint/corrupt", messageOf(cause), { cause });
}
