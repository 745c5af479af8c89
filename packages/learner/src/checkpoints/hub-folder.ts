import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "@afterstate/core";
import { downloadFile, type ListFileEntry, listFiles } from "@huggingface/hub";
import { CheckpointError } from "./checkpoint-error.js";
import type { OnProgress } from "./progress.js";

/** Where a model comes from and where it is kept. */
export interface HubOptions {
  readonly cacheFolder: string;
  readonly hubUrl?: string;
  /** For models that are given to members only. */
  readonly accessToken?: string;
  readonly onProgress?: OnProgress;
}

/** `owner/name`. */
export const HUB_ID = /^[\w-][\w.-]*\/[\w-][\w.-]*$/;

const WANTED =
  /^(config|generation_config|tokenizer|tokenizer_config)\.json$|^chat_template\.jinja$|^model(-\d+-of-\d+)?\.safetensors$|^model\.safetensors\.index\.json$/;

/** Written last: a folder that has it is whole. Holds the files and their sizes. */
const COMPLETE = "complete.json";

/** Progress is told each time this many bytes have come. */
const PROGRESS_BYTES = 1 << 20;

/**
 * A folder with the files of a model of the Hugging Face hub. They are downloaded once; without network from then on. A download that was
 * interrupted goes on where it stopped. What has come is checked against the hash that the hub lists.
 *
 * @throws CheckpointError `checkpoint/missing` when there is no such model or no safetensors in it, `checkpoint/download` otherwise.
 */
export async function fetchHubFolder(id: string, options: HubOptions): Promise<string> {
  const folder = join(options.cacheFolder, id.replace("/", "--"));
  if (await isComplete(folder)) return folder;
  const entries = await listWanted(id, options);
  await mkdir(folder, { recursive: true });
  for (const entry of entries) await fetchFile(id, entry, folder, options);
  const sizes = Object.fromEntries(entries.map(({ path, size }) => [path, size]));
  await writeFile(join(folder, `${COMPLETE}.part`), JSON.stringify(sizes));
  await rename(join(folder, `${COMPLETE}.part`), join(folder, COMPLETE));
  return folder;
}

/** Whether every file is there in its size. */
async function isComplete(folder: string): Promise<boolean> {
  try {
    const sizes = JSON.parse(await readFile(join(folder, COMPLETE), "utf8")) as Record<string, number>;
    for (const [path, size] of Object.entries(sizes)) {
      if ((await stat(join(folder, path))).size !== size) return false;
    }
    return true;
  } catch {
    return false;
  }
}

async function listWanted(id: string, { hubUrl, accessToken }: HubOptions): Promise<readonly ListFileEntry[]> {
  const entries: ListFileEntry[] = [];
  try {
    for await (const entry of listFiles({ repo: id, ...given({ hubUrl, accessToken }) })) entries.push(entry);
  } catch (cause) {
    throw refusal(id, cause) ?? failure(id, "a model of the Hugging Face hub", messageOf(cause), cause);
  }
  const wanted = entries.filter(({ type, path }) => type === "file" && WANTED.test(path));
  const whole = wanted.some(({ path }) => path === "model.safetensors");
  const files = wanted.filter(({ path }) => !whole || !/^model-|index\.json$/.test(path));
  if (files.some(({ path }) => path.endsWith(".safetensors"))) return files;
  throw new CheckpointError("missing", {
    file: id,
    expected: "model.safetensors or its shards",
    found: entries.map(({ path }) => path).join(", ") || "no files",
    remedy: "name a model with safetensors, or download a GGUF file and give its path",
  });
}

function failure(file: string, expected: string, found: string, cause?: unknown): CheckpointError {
  return new CheckpointError("download", { file, expected, found, cause });
}

/** What the hub answers for what is not there, and for what it does not show to everyone; undefined for other failures. */
function refusal(file: string, cause: unknown): CheckpointError | undefined {
  const status = (cause as { statusCode?: unknown }).statusCode;
  if (status !== 401 && status !== 403 && status !== 404) return undefined;
  return new CheckpointError("missing", {
    file,
    expected: "it on the Hugging Face hub",
    found: `status ${status}: there is none, or not for everyone`,
    remedy: "name another model, or give the accessToken of an account that may read it",
    cause,
  });
}

/** Brings one file into the folder, by way of a `.part` that grows. */
async function fetchFile(id: string, entry: ListFileEntry, folder: string, options: HubOptions): Promise<void> {
  const { path, size } = entry;
  const [target, part] = [join(folder, path), join(folder, `${path}.part`)];
  if (existsSync(target) && (await isIntact(target, entry))) return;
  const { hubUrl, accessToken, onProgress } = options;
  const tell = (done: number) => onProgress?.({ stage: "download", file: `${id}/${path}`, done, total: size });
  let done = existsSync(part) ? (await stat(part)).size : 0;
  if (done > size) done = 0;
  tell(done);
  const file = await open(part, done > 0 ? "a" : "w");
  try {
    if (done < size) {
      const blob = await downloadFile({ repo: id, path, xet: false, ...given({ hubUrl, accessToken }) });
      if (blob === null) throw new Error("the hub lists the file and does not have it");
      let told = done;
      for await (const chunk of (done === 0
        ? blob
        : blob.slice(done)
      ).stream() as unknown as AsyncIterable<Uint8Array>) {
        await file.write(chunk);
        done += chunk.length;
        if (done > size) break;
        if (done - told >= PROGRESS_BYTES) {
          told = done;
          tell(done);
        }
      }
    }
    await file.sync();
  } catch (cause) {
    throw (
      refusal(`${id}/${path}`, cause) ??
      failure(`${id}/${path}`, `${size} bytes`, `${done} and then: ${messageOf(cause)}`, cause)
    );
  } finally {
    await file.close();
  }
  if (done < size) {
    throw failure(`${id}/${path}`, `${size} bytes`, `${done}`);
  }
  if (!(await isIntact(part, entry))) {
    await rm(part);
    const remedy = "it was thrown away; start again";
    const [expected, found] = ["the content whose hash the hub lists", "other content"];
    throw new CheckpointError("download", { file: `${id}/${path}`, expected, found, remedy });
  }
  await rename(part, target);
  tell(size);
}

/** Compares a file with what the hub lists: SHA-256 of large files, else git's SHA-1 of a blob. */
async function isIntact(path: string, { size, oid, lfs }: ListFileEntry): Promise<boolean> {
  if ((await stat(path)).size !== size) return false;
  const hash = lfs === undefined ? createHash("sha1").update(`blob ${size}\0`) : createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex") === (lfs?.oid ?? oid);
}

/** The fields that are not undefined. */
function given(fields: { hubUrl: string | undefined; accessToken: string | undefined }) {
  return {
    ...(fields.hubUrl === undefined ? {} : { hubUrl: fields.hubUrl }),
    ...(fields.accessToken === undefined ? {} : { accessToken: fields.accessToken }),
  };
}
