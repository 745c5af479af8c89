import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AgentError, messageOf } from "@afterstate/core";
import { assertWeightsFit, type TransformerConfig } from "../tensor/transformer.js";
import type { PolicyWeights } from "../types.js";
import { decodeSafetensors, encodeSafetensors } from "./safetensors.js";
import type { TokenizerFiles } from "./tokenizer.js";

/** A policy as it lies on disk: a Hugging Face folder. */
export interface PolicyFiles extends TokenizerFiles {
  readonly config: TransformerConfig;
  readonly weights: PolicyWeights;
}

/** The policy that ships with the package: sums from GSM8K and modular powers, with a calculator. */
export const EMBEDDED_POLICY = fileURLToPath(new URL("../../policy/homework", import.meta.url));

/** Reads config.json, tokenizer.json, tokenizer_config.json and model.safetensors. @throws AgentError `checkpoint/…` naming the file. */
export function readPolicyFolder(folder: string): PolicyFiles {
  const read = (name: string): Buffer => {
    const path = join(folder, name);
    if (!existsSync(path)) {
      throw new AgentError(
        "checkpoint/missing",
        `"${path}" is missing; a policy folder holds config.json, tokenizer.json, tokenizer_config.json and model.safetensors`,
      );
    }
    return readFileSync(path);
  };
  const json = <T>(name: string): T => {
    const bytes = read(name);
    try {
      return JSON.parse(bytes.toString("utf8")) as T;
    } catch (cause) {
      throw new AgentError("checkpoint/corrupt", `"${join(folder, name)}" is not JSON: ${messageOf(cause)}`, { cause });
    }
  };
  const config = json<TransformerConfig>("config.json");
  const { weights } = decodeSafetensors(read("model.safetensors"), join(folder, "model.safetensors"));
  assertWeightsFit(config, weights);
  return { config, weights, tokenizer: json("tokenizer.json"), tokenizerConfig: json("tokenizer_config.json") };
}

/** Writes what {@link readPolicyFolder} reads. */
export function writePolicyFolder(folder: string, files: PolicyFiles): void {
  mkdirSync(folder, { recursive: true });
  const json = (name: string, value: object) =>
    writeFileSync(join(folder, name), `${JSON.stringify(value, null, 1)}\n`);
  json("config.json", {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_act: "silu",
    ...files.config,
  });
  json("tokenizer.json", files.tokenizer);
  json("tokenizer_config.json", files.tokenizerConfig);
  writeFileSync(join(folder, "model.safetensors"), encodeSafetensors(files.weights));
}
