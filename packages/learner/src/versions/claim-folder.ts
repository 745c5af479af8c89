import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { AgentError, messageOf } from "@afterstate/core";
import type { PolicyFiles } from "../checkpoints/policy-folder.js";
import type { LoraConfig } from "../tensor/lora-config.js";
import { replaceFile } from "./durable-files.js";

/** What the versions in a folder were learned over. */
export interface PolicyBase {
  /** For people: a path, or an id. */
  readonly name: string;
  /** SHA-256 of the architecture and the beginnings of all weights. */
  readonly fingerprint: string;
  /** Absent when all weights learn. */
  readonly lora?: LoraConfig;
}

const FILE = "base.json";
/** Numbers of each weight that the fingerprint takes in: two models that differ differ in the first few. */
const NUMBERS = 256;

/** What versions of a policy are learned over. */
export function baseOf({ config, weights }: PolicyFiles, name: string): PolicyBase {
  const { lora, ...architecture } = config;
  const hash = createHash("sha256").update(JSON.stringify(architecture));
  for (const [weight, { shape, data }] of weights) {
    hash.update(JSON.stringify([weight, shape])).update(Float32Array.from(data.subarray(0, NUMBERS)));
  }
  return { name, fingerprint: hash.digest("hex"), ...(lora === undefined ? {} : { lora }) };
}

/**
 * Notes in a folder over what its versions are learned, or makes sure that it is what was noted.
 *
 * @throws AgentError `checkpoint/other-base` when the folder belongs to another base, `checkpoint/corrupt` when its note cannot be read.
 */
export async function claimFolder(folder: string, base: PolicyBase): Promise<void> {
  const path = join(folder, FILE);
  const noted = await readNote(path);
  if (noted === undefined) {
    await mkdir(folder, { recursive: true });
    return replaceFile(path, `${JSON.stringify(base, undefined, 1)}\n`);
  }
  if (noted.fingerprint === base.fingerprint && JSON.stringify(noted.lora) === JSON.stringify(base.lora)) return;
  throw new AgentError(
    "checkpoint/other-base",
    `"${folder}" holds what was learned over ${described(noted)}, not over ${described(base)}; name that one, or another folder`,
  );
}

function described({ name, lora, fingerprint }: PolicyBase): string {
  const adapters = lora === undefined ? "" : ` with adapters of rank ${lora.r}`;
  return `${name}${adapters} (${fingerprint.slice(0, 8)})`;
}

async function readNote(path: string): Promise<PolicyBase | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw corrupt(path, messageOf(cause));
  }
  try {
    const base = JSON.parse(text) as PolicyBase;
    if (typeof base.name !== "string" || typeof base.fingerprint !== "string") throw new Error("it names no base");
    return base;
  } catch (cause) {
    throw corrupt(path, messageOf(cause));
  }
}

function corrupt(path: string, fact: string): AgentError {
  return new AgentError("checkpoint/corrupt", `"${path}" is damaged: ${fact}; put back an intact copy of it`);
}
