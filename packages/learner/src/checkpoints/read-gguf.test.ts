import { createHash } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openTokenizer } from "../policy/tokenizer.js";
import { openBackend } from "../tensor/backend.js";
import { sampleBatch } from "../tensor/sampler.js";
import { sequenceLogits } from "../tensor/sequence-log-probs.js";
import { disposeParameters, type TransformerConfig, uploadWeights } from "../tensor/transformer.js";
import type { PolicyWeights } from "../types.js";
import { readPolicyFolder, writePolicyFolder } from "./policy-folder.js";
import { readGguf } from "./read-gguf.js";

const fixture = (name: string) => fileURLToPath(new URL(`data/${name}`, import.meta.url));
const json = <T>(name: string) => JSON.parse(readFileSync(fixture(name), "utf8")) as T;
const { ids, expected } = json<{ ids: number[]; expected: Record<string, number[][]> }>("tiny-logits.json");
const MODELS = Object.keys(expected);

let folder = "";
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "afterstate-gguf-"));
  await openBackend({ name: "wasm" });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** log π(·) after each id. [ids, vocab] */
async function logProbs(config: TransformerConfig, weights: PolicyWeights, ids: readonly number[]) {
  const parameters = uploadWeights(weights);
  const batch = { batch: 1, seq: ids.length, ids: Int32Array.from(ids), targets: new Int32Array(ids.length) };
  const logits = sequenceLogits(parameters, config, batch);
  const flat = [...(await logits.data())];
  logits.dispose();
  disposeParameters(parameters);
  return ids.map((_, t) => {
    const row = flat.slice(t * config.vocab_size, (t + 1) * config.vocab_size);
    const sum = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
    return row.map((logit) => logit - sum);
  });
}

/** The largest |difference|. */
const distance = (rows: readonly (readonly number[])[], others: readonly (readonly number[])[]): number =>
  Math.max(...rows.flatMap((row, t) => row.map((value, id) => Math.abs(value - others[t]![id]!))));

const argmax = (row: readonly number[]) => row.indexOf(Math.max(...row));

describe("a small model in GGUF", () => {
  it.each(MODELS)("%s gives the log-probabilities of llama.cpp", async (name) => {
    const { config, weights } = readGguf(fixture(name));
    expect(distance(await logProbs(config, weights, ids), expected[name]!)).toBeLessThan(5e-5);
  });

  it.each([
    ["tiny-llama.gguf", "rope_scaling"],
    ["tiny-llama-linear.gguf", "rope_scaling"],
    ["tiny-qwen2-yarn.gguf", "rope_scaling"],
    ["tiny-qwen3.gguf", "qk_norm"],
  ] as const)("%s gives others when %s is left out", async (name, option) => {
    const { config, weights } = readGguf(fixture(name));
    const { [option]: _, ...without } = config;
    expect(distance(await logProbs(without, weights, ids), expected[name]!)).toBeGreaterThan(0.02);
  });

  it.each(MODELS)("%s samples with its cache what it scores without", async (name) => {
    const { config, weights } = readGguf(fixture(name));
    const parameters = uploadWeights(weights);
    const request = { seed: 1, temperature: 0, maxTokens: 6, stopIds: new Set<number>() };
    const prompts = [ids.slice(0, 3), ids.slice(2, 9)];
    const samples = await sampleBatch(
      parameters,
      config,
      prompts.map((promptIds) => ({ ...request, promptIds })),
    );
    disposeParameters(parameters);
    for (const [row, prompt] of prompts.entries()) {
      const sampled = samples[row]!.ids;
      const scored = await logProbs(config, weights, [...prompt, ...sampled]);
      expect(sampled).toEqual(scored.slice(prompt.length - 1, -1).map(argmax));
    }
  });

  it.each(MODELS)("%s goes through a Hugging Face folder unchanged", (name) => {
    const copy = join(folder, name.slice(0, -".gguf".length));
    const files = readGguf(fixture(name));
    writePolicyFolder(copy, files);
    const { weights, stopTokens, ...rest } = readPolicyFolder(copy);
    const { weights: _, stopTokens: __, ...others } = files;
    expect(rest).toEqual(others);
    expect(new Set(stopTokens)).toEqual(new Set(files.stopTokens));
    for (const [weight, { data }] of files.weights) expect(weights.get(weight)!.data).toEqual(data);
  });

  it.each([1, 2, 3])("in three files is read as from one, whichever is named (part %i)", (part) => {
    const { weights, config, tokenizer } = readGguf(fixture("tiny-qwen2-yarn.gguf"));
    const parts = readGguf(fixture(`tiny-qwen2-yarn-parts-0000${part}-of-00003.gguf`));
    expect([parts.config, parts.tokenizer]).toEqual([config, tokenizer]);
    expect(parts.weights).toEqual(weights);
  });

  it("of all types at once gives the weights that the Python package gguf dequantises", () => {
    const { weights } = readGguf(fixture("mixed.gguf"));
    const hash = (data: Float32Array) =>
      createHash("sha256")
        .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
        .digest("hex");
    const hashes = Object.fromEntries([...weights].map(([name, { data }]) => [name, hash(data)]));
    expect(hashes).toEqual(json("mixed.json"));
  });

  it("brings its tokenizer, its template and every end of a response", () => {
    const tokenizer = openTokenizer(readGguf(fixture("tiny-qwen2.gguf")));
    const prompt = tokenizer.encodePrompt([{ role: "user", content: "to the 12" }], []);
    expect(tokenizer.vocabSize).toBe(262);
    expect(prompt).toContain(258); // " the" is merged
    expect([...tokenizer.stopIds]).toEqual([260, 261]);
    expect(prompt.filter((id) => id === 259)).toHaveLength(2);
  });
});

describe("a GGUF file that cannot be computed rightly", () => {
  const changed = (name: string, find: string, replace: string) => {
    const bytes = readFileSync(fixture(name));
    for (let at = bytes.indexOf(find); at !== -1; at = bytes.indexOf(find, at + 1)) bytes.write(replace, at, "latin1");
    const path = join(folder, name);
    writeFileSync(path, bytes);
    return path;
  };

  it.each([
    ["tiny-qwen2.gguf", "qwen2", "gptjx", /general.architecture".*among llama, qwen2, qwen3, found "gptjx"/],
    ["tiny-llama.gguf", "smollm", "sm0llm", /tokenizer.ggml.pre".*among .*smollm.*found sm0llm/],
    ["tiny-qwen2.gguf", "blk.0.attn_q.bias", "blk.0.attn_x.bias", /blk.0.attn_x.bias": expected no such tensor/],
    ["tiny-qwen3.gguf", "qwen3", "qwen2", /q_proj.bias": expected shape .* found nothing/],
    [
      "tiny-llama.gguf",
      "blk.1.ffn_up.w",
      "blk.2.ffn_up.w",
      /layers.1.mlp.up_proj.weight": expected shape \[48, 32\], found nothing/,
    ],
    ["tiny-llama.gguf", "GGUF", "GGML", /magic": expected "GGUF"/],
  ])("%s with %s → %s is refused by name", (name, find, replace, message) => {
    const path = changed(name, find, replace);
    expect(() => readGguf(path)).toThrow(message);
    expect(() => readGguf(path)).toThrow(path);
  });

  it.each<[string, string, string, RegExp]>([
    ["a part that is missing", "", "00003", /parts-00003-of-00003.gguf": expected a readable file/],
    [
      "a part in the place of another",
      "00003",
      "00002",
      /00002-of-00003.gguf", "split.no": expected 1, found 2; put all parts into one folder/,
    ],
    ["a part twice", "00001", "00002", /00002-of-00003.gguf", "split.no": expected 1, found 0/],
    ["a whole file as a part", "whole", "00002", /00002-of-00003.gguf", "split.count": expected 3, as the file's name/],
  ])("is refused for %s", (_, from, to, message) => {
    const part = (name: string) => `tiny-qwen2-yarn-parts-${name}-of-00003.gguf`;
    for (const name of ["00001", "00002", "00003"]) copyFileSync(fixture(part(name)), join(folder, part(name)));
    if (from === "") rmSync(join(folder, part(to)));
    else copyFileSync(fixture(from === "whole" ? "tiny-qwen2-yarn.gguf" : part(from)), join(folder, part(to)));
    expect(() => readGguf(join(folder, part("00001")))).toThrow(message);
  });

  it("is refused when a part is named as if it were whole", () => {
    const path = join(folder, "part.gguf");
    copyFileSync(fixture("tiny-qwen2-yarn-parts-00001-of-00003.gguf"), path);
    expect(() => readGguf(path)).toThrow(/part.gguf", "split.count": expected 1, as the file's name says, found 3/);
  });

  it("is refused for a weight that is no number, by file, tensor and place", () => {
    const bytes = readFileSync(fixture("tiny-llama.gguf"));
    bytes.writeFloatLE(Number.NaN, bytes.length - 4);
    const path = join(folder, "nan.gguf");
    writeFileSync(path, bytes);
    expect(() => readGguf(path)).toThrow(
      /nan.gguf", tensor "blk.1.ffn_down.weight": expected finite numbers, found NaN at element 1535/,
    );
  });
});
