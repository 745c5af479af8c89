import { existsSync } from "node:fs";
import { join } from "node:path";
import type { TransformerConfig } from "../tensor/transformer.js";
import type { PolicyWeights, WeightArray } from "../types.js";
import { assertTensorsFit } from "./architecture.js";
import { CheckpointError } from "./checkpoint-error.js";
import { readJsonObject } from "./json-file.js";
import type { OnProgress } from "./progress.js";
import { readSafetensorsHeader } from "./safetensors.js";
import { withSourceFile } from "./source-file.js";
import { assertFinite, readTensor, type StoredTensor, sharedRoom } from "./stored-tensor.js";

const WHOLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const EMBEDDING = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";

/** Buffers that old checkpoints hold, though they follow from the configuration. */
const DERIVED = /^model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq$/;

/** Reads the weights of a Hugging Face folder: one safetensors file, or several with an index. @throws CheckpointError */
export function readFolderWeights(folder: string, config: TransformerConfig, onProgress?: OnProgress): PolicyWeights {
  const files = weightFiles(folder);
  const tensors = new Map<string, StoredTensor>();
  const fileOf = new Map<string, string>();
  for (const [path, listed] of files) {
    const found = withSourceFile(path, readSafetensorsHeader).tensors.filter(({ name }) => !DERIVED.test(name));
    for (const tensor of found) {
      if (listed?.has(tensor.name) === false || tensors.has(tensor.name)) {
        const [expected, where] = [`the place that ${INDEX} gives it`, "it here"];
        throw new CheckpointError("mismatch", { file: path, tensor: tensor.name, expected, found: where });
      }
      tensors.set(tensor.name, tensor);
      fileOf.set(tensor.name, path);
    }
    for (const name of listed ?? []) {
      if (fileOf.get(name) !== path && !DERIVED.test(name)) {
        const expected = `what ${INDEX} says is in it`;
        throw new CheckpointError("mismatch", { file: path, tensor: name, expected, found: "nothing" });
      }
    }
  }
  const tiedHead = config.tie_word_embeddings ? tensors.get(HEAD) : undefined;
  if (tiedHead !== undefined) tensors.delete(HEAD);
  assertTensorsFit(config, tensors, (name) => fileOf.get(name) ?? folder);
  const weights = new Map<string, WeightArray>();
  for (const path of files.keys()) {
    withSourceFile(path, (file) => {
      for (const [name, tensor] of tensors) {
        if (fileOf.get(name) !== path) continue;
        onProgress?.({ stage: "read", file: path, done: tensor.offset, total: file.size });
        const weight = readTensor(file, tensor, sharedRoom(tensor));
        assertFinite(path, name, weight);
        weights.set(name, weight);
      }
      onProgress?.({ stage: "read", file: path, done: file.size, total: file.size });
    });
  }
  if (tiedHead !== undefined) assertTied(fileOf.get(HEAD)!, tiedHead, weights.get(EMBEDDING)!);
  return weights;
}

/** Paths of the files with weights, and what the index says is in each; undefined without an index. */
function weightFiles(folder: string): ReadonlyMap<string, ReadonlySet<string> | undefined> {
  const whole = join(folder, WHOLE);
  if (existsSync(whole)) return new Map([[whole, undefined]]);
  const index = join(folder, INDEX);
  if (!existsSync(index)) {
    throw new CheckpointError("missing", {
      file: whole,
      expected: `it or ${INDEX}`,
      found: "neither; it is missing",
      remedy: "a policy folder holds config.json, tokenizer.json, tokenizer_config.json and weights as safetensors",
    });
  }
  const map = readJsonObject(index).weight_map;
  const files = new Map<string, Set<string>>();
  const corrupt = (expected: string, found: string) =>
    new CheckpointError("corrupt", { file: index, field: "weight_map", expected, found });
  if (typeof map !== "object" || map === null) throw corrupt("an object", typeof map);
  for (const [name, file] of Object.entries(map)) {
    if (typeof file !== "string" || !/^[\w.-]+\.safetensors$/.test(file)) {
      throw corrupt(`the name of a safetensors file in the folder for "${name}"`, JSON.stringify(file));
    }
    const path = join(folder, file);
    files.set(path, (files.get(path) ?? new Set()).add(name));
  }
  if (files.size === 0) throw corrupt("at least one weight", "none");
  return files;
}

/** A tied model may hold its head a second time; were it another one, the configuration or the file would be wrong. */
function assertTied(path: string, head: StoredTensor, embedding: WeightArray): void {
  const { data } = withSourceFile(path, (file) => readTensor(file, head));
  if (data.length === embedding.data.length && data.every((value, i) => value === embedding.data[i])) return;
  throw new CheckpointError("mismatch", {
    file: path,
    tensor: HEAD,
    expected: "the embedding table, as tie_word_embeddings says",
    found: "other numbers",
  });
}
