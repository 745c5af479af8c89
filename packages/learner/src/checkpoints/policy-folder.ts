import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openTokenizer, type TokenizerFiles } from "../policy/tokenizer.js";
import type { TransformerConfig } from "../tensor/transformer.js";
import type { PolicyWeights } from "../types.js";
import { configFromHuggingFace, configToHuggingFace } from "./huggingface-config.js";
import { readJsonObject } from "./json-file.js";
import type { OnProgress } from "./progress.js";
import { encodeSafetensors } from "./safetensors.js";
import { readFolderWeights } from "./sharded-weights.js";
import { readTokenizerFolder } from "./tokenizer-folder.js";

/** A policy as it lies on disk: a Hugging Face folder. */
export interface PolicyFiles extends TokenizerFiles {
  readonly config: TransformerConfig;
  readonly weights: PolicyWeights;
  /** Adapters to start from, for a config with `lora`. */
  readonly adapter?: PolicyWeights;
}

/** The policy that ships with the package: sums from GSM8K and modular powers, with a calculator. */
export const EMBEDDED_POLICY = fileURLToPath(new URL("../../policy/homework", import.meta.url));

/** Reads config.json, tokenizer.json, tokenizer_config.json and safetensors. @throws CheckpointError `checkpoint/…` naming the file. */
export function readPolicyFolder(folder: string, onProgress?: OnProgress): PolicyFiles {
  const configPath = join(folder, "config.json");
  const config = configFromHuggingFace(configPath, readJsonObject(configPath));
  const tokenizer = readTokenizerFolder(folder, config.vocab_size);
  return { config, weights: readFolderWeights(folder, config, onProgress), ...tokenizer };
}

/** Writes what {@link readPolicyFolder} reads. */
export function writePolicyFolder(folder: string, files: PolicyFiles): void {
  mkdirSync(folder, { recursive: true });
  const json = (name: string, value: object) =>
    writeFileSync(join(folder, name), `${JSON.stringify(value, null, 1)}\n`);
  json("config.json", configToHuggingFace(files.config));
  json("tokenizer.json", files.tokenizer);
  json("tokenizer_config.json", files.tokenizerConfig);
  if (files.stopTokens !== undefined) {
    json("generation_config.json", { eos_token_id: [...openTokenizer(files).stopIds] });
  }
  writeFileSync(join(folder, "model.safetensors"), encodeSafetensors(files.weights));
}
