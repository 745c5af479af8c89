import { createHash } from "node:crypto";
import { encodeSafetensors } from "../checkpoints/safetensors.js";
import type { PolicyWeights } from "../types.js";
import type { UpdateDigests } from "./batch-record.js";

/** What a version's weights are called in its folder. */
export const MODEL_FILE = "model.safetensors";
/** What its optimizer's state is called. */
export const OPTIMIZER_FILE = "optimizer.safetensors";

/** The bytes of a version's files. */
export function versionFiles(made: { readonly weights: PolicyWeights; readonly optimizer: PolicyWeights }): {
  readonly [MODEL_FILE]: Uint8Array;
  readonly [OPTIMIZER_FILE]: Uint8Array;
} {
  return {
    [MODEL_FILE]: encodeSafetensors(made.weights, { format: "pt" }),
    [OPTIMIZER_FILE]: encodeSafetensors(made.optimizer),
  };
}

/** The checksums that a version's files have, or would have. */
export function digestsOf(made: { readonly weights: PolicyWeights; readonly optimizer: PolicyWeights }): UpdateDigests {
  const files = versionFiles(made);
  return { weights: sha256(files[MODEL_FILE]), optimizer: sha256(files[OPTIMIZER_FILE]) };
}

/** In hexadecimal. */
export function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}
