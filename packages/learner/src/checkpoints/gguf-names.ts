/** Names of a layer's tensors in GGUF and in Hugging Face folders. */
const LAYER_NAMES: Readonly<Record<string, string>> = {
  "attn_norm.weight": "input_layernorm.weight",
  "attn_q.weight": "self_attn.q_proj.weight",
  "attn_q.bias": "self_attn.q_proj.bias",
  "attn_k.weight": "self_attn.k_proj.weight",
  "attn_k.bias": "self_attn.k_proj.bias",
  "attn_v.weight": "self_attn.v_proj.weight",
  "attn_v.bias": "self_attn.v_proj.bias",
  "attn_q_norm.weight": "self_attn.q_norm.weight",
  "attn_k_norm.weight": "self_attn.k_norm.weight",
  "attn_output.weight": "self_attn.o_proj.weight",
  "ffn_norm.weight": "post_attention_layernorm.weight",
  "ffn_gate.weight": "mlp.gate_proj.weight",
  "ffn_up.weight": "mlp.up_proj.weight",
  "ffn_down.weight": "mlp.down_proj.weight",
};

const MODEL_NAMES: Readonly<Record<string, string>> = {
  "token_embd.weight": "model.embed_tokens.weight",
  "output_norm.weight": "model.norm.weight",
  "output.weight": "lm_head.weight",
};

/** The Hugging Face name of a GGUF tensor; undefined when no model of the families that are read has such a tensor. */
export function huggingFaceName(ggufName: string): string | undefined {
  const layer = /^blk\.(0|[1-9]\d{0,3})\.(.+)$/.exec(ggufName);
  if (layer === null) return Object.hasOwn(MODEL_NAMES, ggufName) ? MODEL_NAMES[ggufName] : undefined;
  const [, index, name] = layer as unknown as [string, string, string];
  return Object.hasOwn(LAYER_NAMES, name) ? `model.layers.${index}.${LAYER_NAMES[name]}` : undefined;
}

/**
 * Undoes the order of rows in which a Llama GGUF keeps its query and key projections: ggml rotates neighbours (2j, 2j + 1) where Hugging Face
 * rotates halves (j, j + headDim/2).
 *
 *   y[half · headDim/2 + j] = x[2j + half]        within each head
 *
 * @param data rows of any width. [heads · headDim, width] @param result where to. [heads · headDim, width]
 */
export function halvesFromNeighbours(
  data: Float32Array,
  { heads, headDim, result }: { readonly heads: number; readonly headDim: number; readonly result: Float32Array },
): Float32Array {
  const width = data.length / (heads * headDim);
  for (let row = 0; row < heads * headDim; row++) {
    const inHead = row % headDim;
    const j = inHead % (headDim / 2);
    const half = inHead < headDim / 2 ? 0 : 1;
    const from = row - inHead + 2 * j + half;
    result.set(data.subarray(from * width, (from + 1) * width), row * width);
  }
  return result;
}
