import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LORA_TARGETS, type LoraConfig } from "../tensor/lora-config.js";
import { learnedShapes, type TransformerConfig } from "../tensor/transformer-config.js";
import type { PolicyWeights } from "../types.js";
import { assertArraysFit } from "./assert-arrays-fit.js";
import { CheckpointError } from "./checkpoint-error.js";
import { fieldsOf, shown } from "./fields.js";
import { readJsonObject } from "./json-file.js";
import { decodeSafetensors, encodeSafetensors } from "./safetensors.js";
import { assertFinite } from "./stored-tensor.js";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";

/** Adapters as PEFT keeps them, and other servers read them. */
export interface AdapterFiles {
  readonly lora: LoraConfig;
  readonly adapter: PolicyWeights;
}

/** Fields that do not say how an adapter computes; `lora_dropout` acts in PEFT's own training alone. */
const BESIDE_THE_POINT = new Set([
  "auto_mapping",
  "base_model_name_or_path",
  "inference_mode",
  "lora_dropout",
  "megatron_core",
  "peft_version",
  "qalora_group_size",
  "revision",
  "task_type",
]);
/** Ways to begin that leave the base as it is; others (PiSSA, OLoRA …) train an adapter of changed weights. */
const BEGINNINGS = [true, false, "gaussian", "orthogonal", "eva"];

/**
 * Reads `adapter_config.json` and `adapter_model.safetensors` of a PEFT folder. What would make its adapters compute anything but
 * `y += (α/r) (x Aᵀ) Bᵀ` in every layer is refused, also where this reader has never heard of it: such a field says more than
 * null, false or nothing.
 *
 * @param config of the base that the adapters were made for.
 * @throws CheckpointError `checkpoint/…` naming the file: `unsupported` for other kinds of adapters, `mismatch` for other bases.
 */
export function readAdapterFolder(folder: string, config: TransformerConfig): AdapterFiles {
  const path = join(folder, CONFIG);
  const record = readJsonObject(path);
  const { peft_type, r, lora_alpha, target_modules, bias, init_lora_weights, ...others } = record;
  const refuse = (field: string, expected: string) => {
    throw new CheckpointError("unsupported", { file: path, field, expected, found: shown(record[field]) });
  };
  const fields = fieldsOf(path, record);
  if (peft_type !== "LORA") refuse("peft_type", '"LORA"');
  fields.only("bias", ["none"]);
  fields.only("init_lora_weights", BEGINNINGS);
  for (const [field, value] of Object.entries(others)) {
    if (!BESIDE_THE_POINT.has(field) && !saysNothing(value)) refuse(field, "plain LoRA, without it");
  }
  const lora: LoraConfig = {
    r: fields.size("r"),
    lora_alpha: fields.positive("lora_alpha"),
    target_modules: targetsOf(target_modules) ?? refuse("target_modules", `names among ${LORA_TARGETS.join(", ")}`),
  };
  const file = join(folder, WEIGHTS);
  if (!existsSync(file)) {
    throw new CheckpointError("missing", { file, expected: "the adapter's weights", found: "no such file" });
  }
  const { weights: adapter } = decodeSafetensors(readFileSync(file), file);
  assertArraysFit(file, adapter, learnedShapes({ ...config, lora }));
  for (const [name, weight] of adapter) assertFinite(file, name, weight);
  return { lora, adapter };
}

/** A field's neutral value: null, false, or a list or object of nothing else. */
function saysNothing(value: unknown): boolean {
  const empty = (item: unknown) => item === null || item === false;
  return empty(value) || (typeof value === "object" && Object.values(value as object).every(empty));
}

/** Last names of the adapted matrices, whether PEFT lists them by last name or, as for "all-linear", each with its whole path. */
function targetsOf(value: unknown): readonly string[] | undefined {
  if (value === "all-linear") return LORA_TARGETS;
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const names = new Set(value.map((name) => String(name).split(".").at(-1)!));
  return [...names].every((name) => LORA_TARGETS.includes(name)) ? [...names] : undefined;
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
