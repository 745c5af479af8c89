import type { RopeScaling } from "../tensor/rotary-frequencies.js";
import { headDimOf, type TransformerConfig, weightShapes } from "../tensor/transformer.js";
import { CheckpointError } from "./checkpoint-error.js";
import { elementCount, type StoredTensor } from "./stored-tensor.js";

/** Kinds of models that are read. SmolLM2 is a Llama; Qwen2.5 is a Qwen2. */
export const FAMILIES = ["llama", "qwen2", "qwen3"] as const;

/** One of {@link FAMILIES}: `model_type` of config.json, `general.architecture` of GGUF. */
export type Family = (typeof FAMILIES)[number];

/** Deeper models are taken for lies of the header. */
export const MAX_LAYERS = 1024;

/** @throws CheckpointError `checkpoint/unsupported` when `name` is no family that is read. */
export function assertFamily(file: string, field: string, name: unknown): asserts name is Family {
  if (FAMILIES.includes(name as Family)) return;
  throw new CheckpointError("unsupported", {
    file,
    field,
    expected: `an architecture among ${FAMILIES.join(", ")}`,
    found: JSON.stringify(name) ?? "nothing",
  });
}

/** The family whose options a configuration has. */
export function familyOf(config: TransformerConfig): Family {
  return config.qk_norm === true ? "qwen3" : config.attention_bias === true ? "qwen2" : "llama";
}

/** Positions that a model holds: those that its files say, or those that YaRN stretches its first context to, which need not be said. */
export function contextOf(said: number, scaling?: RopeScaling): number {
  return scaling?.rope_type === "yarn"
    ? Math.max(said, Math.floor(scaling.factor * scaling.original_max_position_embeddings))
    : said;
}

/** @throws CheckpointError `checkpoint/corrupt` when the sizes of a configuration contradict each other. */
export function assertConsistent(file: string, config: TransformerConfig): void {
  const { num_attention_heads: heads, num_key_value_heads: keyValueHeads } = config;
  const headDim = headDimOf(config);
  const fail = (field: string, expected: string, found: number) => {
    throw new CheckpointError("corrupt", { file, field, expected, found: `${found}` });
  };
  if (heads % keyValueHeads !== 0) fail("num_key_value_heads", `a divisor of ${heads}`, keyValueHeads);
  if (!Number.isInteger(headDim) || headDim % 2 !== 0) fail("head_dim", "an even number", headDim);
}

/**
 * Compares what files hold with what an architecture needs, before any data are read.
 *
 * @throws CheckpointError `checkpoint/mismatch` when a tensor is missing, surplus or of another shape.
 */
export function assertTensorsFit(
  config: TransformerConfig,
  tensors: ReadonlyMap<string, StoredTensor>,
  fileOf: (name: string) => string,
): void {
  const fail = (tensor: string, expected: string, found: string) => {
    throw new CheckpointError("mismatch", { file: fileOf(tensor), tensor, expected, found });
  };
  const shapes = weightShapes(config);
  for (const [name, shape] of shapes) {
    const found = tensors.get(name);
    const expected = `shape [${shape.join(", ")}]`;
    if (found === undefined) fail(name, expected, "nothing");
    else if (found.shape.join() !== shape.join()) fail(name, expected, `shape [${found.shape.join(", ")}]`);
    if (!Number.isSafeInteger(elementCount(shape))) fail(name, "a size that can be counted", expected);
  }
  for (const name of tensors.keys()) if (!shapes.has(name)) fail(name, "no such tensor in this architecture", "it");
}
