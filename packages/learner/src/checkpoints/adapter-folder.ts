import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LORA_TARGETS, type LoraConfig } from "../tensor/lora.js";
import { assertWeightsFit, learnedShapes, type TransformerConfig } from "../tensor/transformer.js";
import type { PolicyWeights } from "../types.js";
import { CheckpointError } from "./checkpoint-error.js";
import { readJsonObject } from "./json-file.js";
import { decodeSafetensors, encodeSafetensors } from "./safetensors.js";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";

/** Adapters as PEFT keeps them, and other servers read them. */
export interface AdapterFiles {
  readonly lora: LoraConfig;
  readonly adapter: PolicyWeights;
}

/**
 * Reads `adapter_config.json` and `adapter_model.safetensors` of a PEFT folder.
 *
 * @param config of the base that the adapters were made for.
 * @throws CheckpointError `checkpoint/…` naming the file; AgentError `checkpoint/mismatch` when they do not fit the base.
 */
export function readAdapterFolder(folder: string, config: TransformerConfig): AdapterFiles {
  const path = join(folder, CONFIG);
  const { peft_type, r, lora_alpha, target_modules, bias, use_rslora, use_dora } = readJsonObject(path);
  const refuse = (expected: string, found: unknown) => {
    throw new CheckpointError("unsupported", { file: path, expected, found: JSON.stringify(found) ?? "nothing" });
  };
  if (peft_type !== "LORA") refuse('peft_type "LORA"', peft_type);
  if (bias !== undefined && bias !== "none") refuse('bias "none"', bias);
  if (use_rslora === true || use_dora === true) refuse("plain LoRA", use_dora === true ? "DoRA" : "rsLoRA");
  if (typeof r !== "number" || typeof lora_alpha !== "number") refuse("numbers r and lora_alpha", [r, lora_alpha]);
  const targets = target_modules === "all-linear" ? LORA_TARGETS : target_modules;
  if (!Array.isArray(targets) || !targets.every((target) => typeof target === "string"))
    refuse("target_modules as a list of names", target_modules);
  const lora: LoraConfig = {
    r: r as number,
    lora_alpha: lora_alpha as number,
    target_modules: targets as readonly string[],
  };
  const file = join(folder, WEIGHTS);
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch {
    throw new CheckpointError("missing", { file, expected: "the adapter's weights", found: "no such file" });
  }
  const { weights: adapter } = decodeSafetensors(bytes, file);
  const withLora = { ...config, lora };
  assertWeightsFit(withLora, adapter, learnedShapes(withLora));
  return { lora, adapter };
}

/** Writes what {@link readAdapterFolder} and PEFT read. `base` is the path or Hugging Face id of the weights below. */
export function writeAdapterFolder(folder: string, { lora, adapter }: AdapterFiles, base: string): void {
  mkdirSync(folder, { recursive: true });
  const config = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: base,
    r: lora.r,
    lora_alpha: lora.lora_alpha,
    lora_dropout: 0,
    target_modules: lora.target_modules,
    bias: "none",
    inference_mode: true,
  };
  writeFileSync(join(folder, CONFIG), `${JSON.stringify(config, null, 1)}\n`);
  writeFileSync(join(folder, WEIGHTS), encodeSafetensors(adapter, { format: "pt" }));
}
