import { existsSync, readFileSync, statSync } from "node:fs";
import { messageOf } from "@afterstate/core";
import { CheckpointError } from "./checkpoint-error.js";

/** The largest tokenizer.json of the families that are read takes 17 MB. */
const MAX_JSON_BYTES = 200_000_000;

/** Reads a JSON object. @throws CheckpointError `checkpoint/missing` or `checkpoint/corrupt`. */
export function readJsonObject(path: string): Readonly<Record<string, unknown>> {
  if (!existsSync(path)) {
    throw new CheckpointError("missing", { file: path, expected: "a file", found: "none; it is missing" });
  }
  const { size } = statSync(path);
  if (size > MAX_JSON_BYTES) {
    throw new CheckpointError("corrupt", { file: path, expected: `${MAX_JSON_BYTES} bytes at most`, found: `${size}` });
  }
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new CheckpointError("corrupt", { file: path, expected: "JSON", found: messageOf(cause), cause });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new CheckpointError("corrupt", { file: path, expected: "a JSON object", found: "other JSON" });
}

/** As {@link readJsonObject}; undefined when there is no such file. */
export function readJsonObjectIfAny(path: string): Readonly<Record<string, unknown>> | undefined {
  return existsSync(path) ? readJsonObject(path) : undefined;
}
