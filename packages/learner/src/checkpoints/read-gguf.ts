import { headDimOf, type TransformerConfig } from "../tensor/transformer.js";
import type { WeightArray } from "../types.js";
import { assertTensorsFit } from "./architecture.js";
import { CheckpointError } from "./checkpoint-error.js";
import { configFromGguf } from "./gguf-config.js";
import { type GgufHeader, readGgufHeader } from "./gguf-header.js";
import { halvesFromNeighbours, huggingFaceName } from "./gguf-names.js";
import { tokenizerFromGguf } from "./gguf-tokenizer.js";
import type { PolicyFiles } from "./policy-folder.js";
import type { OnProgress } from "./progress.js";
import { type SourceFile, withSourceFile } from "./source-file.js";
import { assertFinite, readTensor, type StoredTensor } from "./stored-tensor.js";

/** What a frequency is divided by under Llama 3's scaling; a constant, no weight. */
const ROPE_FACTORS = "rope_freqs.weight";

/** Reads a policy off a GGUF file: architecture, weights as float32, tokenizer and chat template. @throws CheckpointError */
export function readGguf(path: string, onProgress?: OnProgress): PolicyFiles {
  return withSourceFile(path, (file) => readGgufPolicy(file, onProgress));
}

/** As {@link readGguf}. */
export function readGgufPolicy(file: SourceFile, onProgress?: OnProgress): PolicyFiles {
  const header = readGgufHeader(file);
  const factors = header.tensors.get(ROPE_FACTORS);
  const config = configFromGguf(file.name, header, factors === undefined ? undefined : readTensor(file, factors).data);
  const tokenizer = tokenizerFromGguf(file.name, header.metadata, config.vocab_size);
  const tensors = byHuggingFaceName(file.name, header);
  assertTensorsFit(config, tensors, () => file.name);
  const permuted = header.metadata.get("general.architecture") === "llama";
  const weights = new Map<string, WeightArray>();
  for (const [name, tensor] of tensors) {
    onProgress?.({ stage: "read", file: file.name, done: tensor.offset, total: file.size });
    weights.set(name, readWeight(file, tensor, name, permuted ? config : undefined));
  }
  onProgress?.({ stage: "read", file: file.name, done: file.size, total: file.size });
  return { config, weights, ...tokenizer };
}

function byHuggingFaceName(file: string, { tensors }: GgufHeader): ReadonlyMap<string, StoredTensor> {
  const named = new Map<string, StoredTensor>();
  for (const tensor of tensors.values()) {
    if (tensor.name === ROPE_FACTORS) continue;
    const name = huggingFaceName(tensor.name);
    if (name === undefined) {
      throw new CheckpointError("mismatch", {
        file,
        tensor: tensor.name,
        expected: "no such tensor in this architecture",
        found: `one of shape [${tensor.shape.join(", ")}]`,
      });
    }
    named.set(name, tensor);
  }
  return named;
}

/** @param llama the architecture when query and key rows are in the order of Llama GGUFs. */
function readWeight(file: SourceFile, tensor: StoredTensor, name: string, llama?: TransformerConfig): WeightArray {
  const weight = readTensor(file, tensor);
  assertFinite(file.name, tensor.name, weight);
  const [, projection] = /\.(q|k)_proj\.weight$/.exec(name) ?? [];
  if (llama === undefined || projection === undefined) return weight;
  const heads = projection === "q" ? llama.num_attention_heads : llama.num_key_value_heads;
  return { shape: weight.shape, data: halvesFromNeighbours(weight.data, heads, headDimOf(llama)) };
}
