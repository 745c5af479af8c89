// Writes a GGUF file of a Llama with random weights and a vocabulary of numbered tokens, which is enough to measure speed.
import { closeSync, openSync, writeSync } from "node:fs";

const ALIGNMENT = 32;
const TYPES = { F32: { id: 0, bytes: 4 }, F16: { id: 1, bytes: 2 } };
/** Types of metadata. */
const [UINT32, INT32, FLOAT32, STRING, ARRAY] = [4, 5, 6, 8, 9];

const uint32 = (value) => Buffer.from(Uint32Array.of(value).buffer);
const uint64 = (value) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const text = (value) => Buffer.concat([uint64(Buffer.byteLength(value)), Buffer.from(value)]);
const list = (type, items) => Buffer.concat([uint32(type), uint64(items.length), ...items]);
const field = (key, type, value) => Buffer.concat([text(key), uint32(type), value]);
const aligned = (bytes) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** @param config of a Llama with a tied head, by the names of config.json. @param type F32 or F16, of the matrices. */
export function writeRandomGguf(path, config, type) {
  const metadata = metadataOf(config);
  const tensors = tensorsOf(config).map(([name, shape]) => {
    const stored = shape.length > 1 ? type : "F32";
    const elements = shape.reduce((product, size) => product * size, 1);
    return { name, shape, stored, elements, bytes: elements * TYPES[stored].bytes };
  });
  let offset = 0;
  const descriptions = tensors.map(({ name, shape, stored, bytes }) => {
    const sizes = [...shape].reverse().map(uint64);
    const place = uint64(offset);
    offset += aligned(bytes);
    return Buffer.concat([text(name), uint32(shape.length), ...sizes, uint32(TYPES[stored].id), place]);
  });
  const start = [Buffer.from("GGUF"), uint32(3), uint64(tensors.length), uint64(metadata.length)];
  const header = Buffer.concat([...start, ...metadata, ...descriptions]);
  const file = openSync(path, "w");
  const write = (bytes) => {
    for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
    writeSync(file, Buffer.alloc(aligned(bytes.length) - bytes.length));
  };
  write(header);
  for (const { shape, stored, elements } of tensors) write(numbers(elements, stored, shape.length === 1));
  closeSync(file);
}

function metadataOf(config) {
  const headDim = config.hidden_size / config.num_attention_heads;
  const sizes = {
    block_count: config.num_hidden_layers,
    context_length: config.max_position_embeddings,
    embedding_length: config.hidden_size,
    feed_forward_length: config.intermediate_size,
    "attention.head_count": config.num_attention_heads,
    "attention.head_count_kv": config.num_key_value_heads,
    "rope.dimension_count": headDim,
    vocab_size: config.vocab_size,
  };
  const float32 = (value) => Buffer.from(Float32Array.of(value).buffer);
  const tokens = Array.from({ length: config.vocab_size }, (_, id) => text(`t${id}`));
  return [
    field("general.architecture", STRING, text("llama")),
    ...Object.entries(sizes).map(([key, size]) => field(`llama.${key}`, UINT32, uint32(size))),
    field("llama.attention.layer_norm_rms_epsilon", FLOAT32, float32(config.rms_norm_eps)),
    field("llama.rope.freq_base", FLOAT32, float32(config.rope_theta)),
    field("tokenizer.ggml.model", STRING, text("gpt2")),
    field("tokenizer.ggml.pre", STRING, text("smollm")),
    field("tokenizer.ggml.tokens", ARRAY, list(STRING, tokens)),
    field("tokenizer.ggml.token_type", ARRAY, list(INT32, Array(config.vocab_size).fill(uint32(1)))),
    field("tokenizer.ggml.merges", ARRAY, list(STRING, [text("t 1")])),
    ...["bos", "eos", "unknown"].map((name, id) => field(`tokenizer.ggml.${name}_token_id`, UINT32, uint32(id))),
  ];
}

function tensorsOf(config) {
  const {
    hidden_size: hidden,
    intermediate_size: wide,
    num_attention_heads: heads,
    num_key_value_heads: groups,
  } = config;
  const keyValue = (hidden / heads) * groups;
  const layer = [
    ["attn_norm", [hidden]],
    ["attn_q", [hidden, hidden]],
    ["attn_k", [keyValue, hidden]],
    ["attn_v", [keyValue, hidden]],
    ["attn_output", [hidden, hidden]],
    ["ffn_norm", [hidden]],
    ["ffn_gate", [wide, hidden]],
    ["ffn_up", [wide, hidden]],
    ["ffn_down", [hidden, wide]],
  ];
  return [
    ["token_embd.weight", [config.vocab_size, hidden]],
    ["output_norm.weight", [hidden]],
    ...Array.from({ length: config.num_hidden_layers }, (_, index) =>
      layer.map(([name, shape]) => [`blk.${index}.${name}.weight`, shape]),
    ).flat(),
  ];
}

/** Ones for a norm, else numbers of either sign around 0.01, as the bytes of their type. */
function numbers(elements, type, isNorm) {
  const bytes = Buffer.alloc(elements * TYPES[type].bytes);
  const view = type === "F16" ? new Uint16Array(bytes.buffer) : new Float32Array(bytes.buffer);
  if (isNorm) view.fill(1);
  else
    for (let i = 0, state = 1; i < elements; i++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
      // A half: its sign, the exponent of 2⁻⁷, ten bits of fraction.
      view[i] = type === "F16" ? ((state >>> 16) & 0x83ff) | 0x2000 : state * 2 ** -31 * 0.03;
    }
  return bytes;
}
