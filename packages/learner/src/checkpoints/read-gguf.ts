import { headDimOf, type TransformerConfig } from "../tensor/transformer.js";
import type { WeightArray } from "../types.js";
import { assertTensorsFit } from "./architecture.js";
import { CheckpointError } from "./checkpoint-error.js";
import { configFromGguf } from "./gguf-config.js";
import { halvesFromNeighbours, huggingFaceName } from "./gguf-names.js";
import { type GgufParts, pathsOfParts, readGgufParts } from "./gguf-parts.js";
import { tokenizerFromGguf } from "./gguf-tokenizer.js";
import type { PolicyFiles } from "./policy-folder.js";
import type { OnProgress } from "./progress.js";
import { type SourceFile, withSourceFiles } from "./source-file.js";
import { assertFinite, readTensor, type StoredTensor, sharedRoom } from "./stored-tensor.js";

/** What a frequency is divided by under Llama 3's scaling; a constant, no weight. */
const ROPE_FACTORS = "rope_freqs.weight";

/**
 * Reads a policy off a GGUF file: architecture, weights as float32, tokenizer and chat template. Of a model in several files,
 * `name-00001-of-00003.gguf`, any one may be named.
 *
 * @throws CheckpointError
 */
export function readGguf(path: string, onProgress?: OnProgress): PolicyFiles {
  return withSourceFiles(pathsOfParts(path), (files) => readGgufPolicy(files, onProgress));
}

/** As {@link readGguf}. @param files all parts, in order. */
export function readGgufPolicy(files: readonly SourceFile[], onProgress?: OnProgress): PolicyFiles {
  const parts = readGgufParts(files);
  const { name: first } = files[0]!;
  const factors = parts.tensors.get(ROPE_FACTORS);
  const ropeFactors = factors && readTensor(parts.fileOf(ROPE_FACTORS)!, factors).data;
  const config = configFromGguf(first, parts, ropeFactors);
  const tokenizer = tokenizerFromGguf(first, parts.metadata, config.vocab_size);
  const tensors = byHuggingFaceName(parts);
  const fileOf = (name: string) => parts.fileOf(tensors.get(name)?.name ?? "") ?? files[0]!;
  assertTensorsFit(config, tensors, (name) => fileOf(name).name);
  const permuted = parts.metadata.get("general.architecture") === "llama";
  const weights = new Map<string, WeightArray>();
  for (const [name, tensor] of tensors) {
    const file = fileOf(name);
    onProgress?.({ stage: "read", file: file.name, done: tensor.offset, total: file.size });
    weights.set(name, readWeight(file, tensor, name, permuted ? config : undefined));
  }
  for (const { name, size } of files) onProgress?.({ stage: "read", file: name, done: size, total: size });
  return { config, weights, ...tokenizer };
}

function byHuggingFaceName({ tensors, fileOf }: GgufParts): ReadonlyMap<string, StoredTensor> {
  const named = new Map<string, StoredTensor>();
  for (const tensor of tensors.values()) {
    if (tensor.name === ROPE_FACTORS) continue;
    const name = huggingFaceName(tensor.name);
    if (name === undefined) {
      throw new CheckpointError("mismatch", {
        file: fileOf(tensor.name)!.name,
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
  const weight = readTensor(file, tensor, sharedRoom(tensor));
  assertFinite(file.name, tensor.name, weight);
  const [, projection] = /\.(q|k)_proj\.weight$/.exec(name) ?? [];
  if (llama === undefined || projection === undefined) return weight;
  const heads = projection === "q" ? llama.num_attention_heads : llama.num_key_value_heads;
  const place = { heads, headDim: headDimOf(llama), result: sharedRoom(weight) };
  return { shape: weight.shape, data: halvesFromNeighbours(weight.data, place) };
}
