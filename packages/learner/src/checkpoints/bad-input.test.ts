import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PolicyWeights } from "../types.js";
import { type PolicyFiles, readPolicyFolder } from "./policy-folder.js";
import { readGguf } from "./read-gguf.js";
import { encodeSafetensors } from "./safetensors.js";

/* What is wrong with a model's files, one thing at a time, and the sentence that says so: file, place, expected and found. */

const data = (name: string) => fileURLToPath(new URL(`data/${name}`, import.meta.url));

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "afterstate-bad-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("a GGUF file", () => {
  const NAME = "blk.0.ffn_up.weight";
  const name = "tiny-qwen3.gguf";

  /** Where a tensor's description goes on after its name: count of dimensions, sizes, type, offset. */
  const descriptionOf = (bytes: Buffer, tensor: string) => bytes.indexOf(tensor) + tensor.length;
  const KEY = "qwen3.embedding_length";

  it.each<[string, (bytes: Buffer) => Buffer | undefined, RegExp]>([
    ["is empty", () => Buffer.alloc(0), /"magic": expected 4 bytes, found the end of the file after 0/],
    ["is another kind of file", (bytes) => void bytes.write("PK", 0), /"magic": expected "GGUF", found 0x46554b50/],
    ["is of another version", (bytes) => void bytes.writeUInt32LE(1, 4), /"version": expected 2 or 3, found 1/],
    ["is big-endian", (bytes) => void bytes.writeUInt32BE(3, 4), /"version": expected 2 or 3, found a big-endian file/],
    [
      "says that it holds more tensors than can follow",
      (bytes) => void bytes.writeBigUInt64LE(2n ** 40n, 8),
      /"tensor count": expected at most \d+, as \d+ bytes are left, found 1099511627776/,
    ],
    [
      "says that it holds more metadata than can follow",
      (bytes) => void bytes.writeBigUInt64LE(2n ** 63n, 16),
      /"metadata count": expected at most \d+, as \d+ bytes are left, found 9223372036854775808/,
    ],
    [
      "says that a text is longer than the file",
      (bytes) => void bytes.writeBigUInt64LE(2n ** 50n, 24),
      /"key 0 of the metadata": expected at most \d+, as \d+ bytes are left, found 1125899906842624/,
    ],
    [
      "has metadata of an unknown kind",
      (bytes) => void bytes.writeUInt32LE(99, bytes.indexOf(KEY) + KEY.length),
      /"qwen3.embedding_length": expected a value type from 0 to 12, found 99/,
    ],
    [
      "has a size that fits nothing",
      (bytes) => void bytes.writeUInt32LE(0, bytes.indexOf(KEY) + KEY.length + 4),
      /"qwen3.embedding_length": expected a whole number from 1 to \d+, found 0/,
    ],
    [
      "has a tensor of another shape",
      (bytes) => {
        const at = descriptionOf(bytes, NAME) + 4;
        const [columns, rows] = [bytes.readBigUInt64LE(at), bytes.readBigUInt64LE(at + 8)];
        bytes.writeBigUInt64LE(rows, at);
        bytes.writeBigUInt64LE(columns, at + 8);
      },
      /tensor "model.layers.0.mlp.up_proj.weight": expected shape \[48, 32\], found shape \[32, 48\]/,
    ],
    [
      "has a tensor of too many dimensions",
      (bytes) => void bytes.writeUInt32LE(9, descriptionOf(bytes, NAME)),
      /tensor "blk.0.ffn_up.weight": expected at most 4 dimensions, found 9/,
    ],
    [
      "has a tensor of no size",
      (bytes) => void bytes.writeBigUInt64LE(0n, descriptionOf(bytes, NAME) + 4),
      /tensor "blk.0.ffn_up.weight": expected sizes above 0, found \[0, 48\]/,
    ],
    [
      "has a tensor larger than can be counted",
      (bytes) => void bytes.writeBigUInt64LE(2n ** 62n, descriptionOf(bytes, NAME) + 4),
      /tensor "blk.0.ffn_up.weight": expected sizes above 0, found \[4611686018427387904, 48\]/,
    ],
    [
      "has a tensor in a quantisation that is not read",
      (bytes) => void bytes.writeUInt32LE(16, descriptionOf(bytes, NAME) + 20),
      /tensor "blk.0.ffn_up.weight": expected a type among F32, F16, .*, found IQ2_XXS; use the same model in one of these/,
    ],
    [
      "has a tensor in a quantisation that nobody knows",
      (bytes) => void bytes.writeUInt32LE(1000, descriptionOf(bytes, NAME) + 20),
      /tensor "blk.0.ffn_up.weight": expected a type among .*, found type 1000/,
    ],
    [
      "has rows that are no whole blocks",
      (bytes) => void bytes.writeUInt32LE(12, descriptionOf(bytes, NAME) + 20),
      /tensor "blk.0.ffn_up.weight": expected rows of a multiple of 256 elements for Q4_K, found \[48, 32\]/,
    ],
    [
      "puts a tensor where another one lies",
      (bytes) => void bytes.writeBigUInt64LE(0n, descriptionOf(bytes, NAME) + 24),
      /expected data from byte \d+ on, found data from byte \d+ on/,
    ],
    [
      "ends too early",
      (bytes) => bytes.subarray(0, -4),
      /expected \d+ bytes of data, found \d+ before the end of the file/,
    ],
    [
      "goes on after its end",
      (bytes) => Buffer.concat([bytes, Buffer.alloc(64)]),
      /expected \d+ bytes, as its header describes, found \d+ bytes/,
    ],
    [
      "has an infinite weight",
      (bytes) => void bytes.writeFloatLE(Number.POSITIVE_INFINITY, bytes.length - 8),
      /tensor "blk.1.ffn_down.weight": expected finite numbers, found Infinity at element \d+/,
    ],
    [
      "names an end that is no token",
      (bytes) => {
        const key = "tokenizer.ggml.eos_token_id";
        bytes.writeUInt32LE(262, bytes.indexOf(key) + key.length + 4);
      },
      /"tokenizer.ggml.eos_token_id": expected an id below 262, found 262/,
    ],
  ])("that %s is refused in a sentence", (_, damage, message) => {
    const path = join(folder, name);
    const bytes = Buffer.from(readFileSync(data(name)));
    writeFileSync(path, damage(bytes) ?? bytes);
    expect(() => readGguf(path)).toThrow(message);
    expect(() => readGguf(path)).toThrow(`"${path}"`);
  });
});

describe("a Hugging Face folder", () => {
  const WEIGHTS = "model.safetensors";
  let files: PolicyFiles;
  beforeEach(() => {
    cpSync(data("huggingface/qwen2"), folder, { recursive: true });
    files = readPolicyFolder(folder);
  });

  const json = (name: string, change: (value: Record<string, unknown>) => unknown) => {
    const path = join(folder, name);
    writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, "utf8")))));
  };
  const weights = (
    change: (weights: Map<string, PolicyWeights extends ReadonlyMap<string, infer T> ? T : never>) => void,
  ) => {
    const changed = new Map(files.weights);
    change(changed);
    writeFileSync(join(folder, WEIGHTS), encodeSafetensors(changed));
  };
  const BIAS = "model.layers.1.self_attn.k_proj.bias";

  it.each<[string, () => void, string, RegExp]>([
    [
      "misses a tensor",
      () => weights((all) => all.delete(BIAS)),
      "",
      /k_proj.bias": expected shape \[8\], found nothing/,
    ],
    [
      "has a tensor too many",
      () => weights((all) => all.set("model.layers.9.x", all.get(BIAS)!)),
      WEIGHTS,
      /"model.layers.9.x": expected no such tensor in this architecture/,
    ],
    [
      "has a tensor of another shape",
      () => weights((all) => all.set(BIAS, { shape: [4], data: new Float32Array(4) })),
      WEIGHTS,
      /k_proj.bias": expected shape \[8\], found shape \[4\]/,
    ],
    [
      "has a weight that is no number",
      () => weights((all) => all.set(BIAS, { shape: [8], data: Float32Array.of(0, 0, Number.NaN, 0, 0, 0, 0, 0) })),
      WEIGHTS,
      /k_proj.bias": expected finite numbers, found NaN at element 2/,
    ],
    [
      "has a head of its own where it should be tied",
      () =>
        weights((all) => {
          const { shape, data } = all.get("model.embed_tokens.weight")!;
          all.set("lm_head.weight", { shape, data: data.map((value) => -value) });
        }),
      WEIGHTS,
      /"lm_head.weight": expected the embedding table, as tie_word_embeddings says, found other numbers/,
    ],
    [
      "misses the head that it says it has",
      () => json("config.json", (config) => ({ ...config, tie_word_embeddings: false })),
      "",
      /"lm_head.weight": expected shape \[290, 24\], found nothing/,
    ],
    [
      "is of another architecture",
      () => json("config.json", (config) => ({ ...config, model_type: "mistral" })),
      "config.json",
      /"model_type": expected an architecture among llama, qwen2, qwen3, found "mistral"/,
    ],
    [
      "has weights in a format that is not read",
      () => json("config.json", (config) => ({ ...config, quantization_config: { quant_method: "gptq" } })),
      "config.json",
      /"quantization_config": expected nothing, found {"quant_method":"gptq"}/,
    ],
    [
      "has the tokenizer of a larger vocabulary",
      () =>
        json("tokenizer.json", ({ added_tokens, ...rest }) => ({
          ...rest,
          added_tokens: [...(added_tokens as object[]), { id: 290, content: "<new>", special: true }],
        })),
      "tokenizer.json",
      /expected ids below 290, the rows of the embedding, found id 290 of token "<new>"/,
    ],
    [
      "has a tokenizer that gives one id to two tokens",
      () =>
        json("tokenizer.json", ({ model, ...rest }) => {
          const { vocab, ...others } = model as { vocab: Record<string, number> };
          return { ...rest, model: { ...others, vocab: { ...vocab, twice: 17 } } };
        }),
      "tokenizer.json",
      /expected each id once, found id 17 of token "twice", too/,
    ],
    [
      "has no end of a response",
      () => {
        json("tokenizer_config.json", ({ eos_token: _, ...rest }) => rest);
        json("generation_config.json", ({ eos_token_id: _, ...rest }) => rest);
      },
      "tokenizer_config.json",
      /expected an eos_token, found undefined/,
    ],
    [
      "ends responses with ids that are no tokens",
      () => json("generation_config.json", (config) => ({ ...config, eos_token_id: [2, 151_645] })),
      "generation_config.json",
      /expected ids of the tokenizer's tokens as eos_token_id, found 151645/,
    ],
    ["has no chat template", () => rmSync(join(folder, "chat_template.jinja")), "", /expected a chat_template/],
  ])("that %s is refused in a sentence", (_, damage, name, message) => {
    damage();
    expect(() => readPolicyFolder(folder)).toThrow(message);
    expect(() => readPolicyFolder(folder)).toThrow(join(folder, name));
  });
});
