import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Message } from "@afterstate/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDecoder } from "../engine/decoder.js";
import { type Machine, openMachine } from "../engine/machine.js";
import { packInputs } from "../engine/packed-tokens.js";
import { createScorer } from "../engine/scorer.js";
import { placeFrozen } from "../engine/weights.js";
import { openTokenizer } from "../policy/tokenizer.js";
import { openBackend } from "../tensor/backend.js";
import { sequenceLogits } from "../tensor/sequence-log-probs.js";
import { disposeParameters, type TransformerConfig, uploadWeights } from "../tensor/transformer.js";
import { readPolicyFolder } from "./policy-folder.js";

/** What transformers computes on the folder it lies in; data/make_huggingface.py writes both. */
interface Expected {
  readonly ids: readonly number[];
  /** Positions whose logits are kept. */
  readonly rows: readonly number[];
  /** float32, base64. [rows, vocab] */
  readonly logits: string;
  readonly texts: readonly { readonly text: string; readonly ids: readonly number[] }[];
  readonly messages: readonly Message[];
  readonly prompt: readonly number[];
}

const FOLDER = fileURLToPath(new URL("data/huggingface", import.meta.url));
const MODELS = ["smollm2", "llama3", "qwen2", "qwen2-yarn", "qwen3"];
const TOLERANCE = 1e-4;

function load(name: string) {
  const files = readPolicyFolder(join(FOLDER, name));
  const expected = JSON.parse(readFileSync(join(FOLDER, name, "expected.json"), "utf8")) as Expected;
  const bytes = new Uint8Array(Buffer.from(expected.logits, "base64"));
  return { files, expected, logits: new Float32Array(bytes.buffer) };
}

/** The largest |difference|. */
const distance = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

describe("a folder that transformers saved", () => {
  let machine: Machine;
  beforeAll(async () => {
    await openBackend({ name: "wasm" });
    machine = openMachine();
  });
  afterAll(() => machine.dispose());

  /** Logits of the CPU engine. [rows, vocab] */
  function onEngine(name: string, change: Partial<TransformerConfig> = {}): Float32Array {
    const { files, expected } = load(name);
    const config = { ...files.config, ...change };
    const weights = [...files.weights].filter(([weight]) => config.attention_bias || !weight.endsWith("bias"));
    const block = placeFrozen(machine, new Map(weights));
    const scorer = createScorer(machine, config, block.placed);
    const logits = new Float32Array(expected.rows.length * config.vocab_size);
    const selected = { rows: Int32Array.from(expected.rows), targets: new Int32Array(expected.rows.length) };
    scorer.score(packInputs([[...expected.ids, 0]]), selected, ({ from, count, scores }) => {
      logits.set(machine.arena.view(scores, count * config.vocab_size), from * config.vocab_size);
    });
    scorer.free();
    block.free();
    return logits;
  }

  it.each(MODELS)("%s gives the logits of transformers on the CPU engine", (name) => {
    expect(distance(onEngine(name), load(name).logits)).toBeLessThan(TOLERANCE);
  });

  it.each(MODELS)("%s gives them on tensors", async (name) => {
    const { files, expected, logits } = load(name);
    const { vocab_size: vocab } = files.config;
    const parameters = uploadWeights(files.weights);
    const { ids } = expected;
    const batch = { batch: 1, seq: ids.length, ids: Int32Array.from(ids), targets: new Int32Array(ids.length) };
    const all = sequenceLogits(parameters, files.config, batch);
    const flat = (await all.data()) as Float32Array;
    all.dispose();
    disposeParameters(parameters);
    const rows = expected.rows.flatMap((row) => [...flat.subarray(row * vocab, (row + 1) * vocab)]);
    expect(distance(Float32Array.from(rows), logits)).toBeLessThan(TOLERANCE);
  });

  it.each(MODELS)("%s gives them token by token, with a cache", (name) => {
    const { files, expected, logits } = load(name);
    const { vocab_size: vocab } = files.config;
    const block = placeFrozen(machine, files.weights);
    const decoder = createDecoder(machine, files.config, block.placed);
    const slot = decoder.openSlot(expected.ids.length);
    expected.ids.forEach((id, position) => {
      const scores = decoder.decode([{ slot, ids: [id] }]);
      const row = expected.rows.indexOf(position);
      if (row === -1) return;
      expect(distance(scores, logits.subarray(row * vocab, (row + 1) * vocab))).toBeLessThan(TOLERANCE);
    });
    slot.free();
    decoder.free();
    block.free();
  });

  it.each<[string, string, Partial<TransformerConfig>]>([
    ["llama3", "its rotary scaling", { rope_scaling: undefined as never }],
    ["qwen2-yarn", "its rotary scaling", { rope_scaling: undefined as never }],
    ["qwen2", "its biases", { attention_bias: false }],
    ["qwen3", "its head norms", { qk_norm: false }],
    ["smollm2", "its rotary base", { rope_theta: 10_000 }],
  ])("%s gives others without %s", (name, _, change) => {
    expect(distance(onEngine(name, change), load(name).logits)).toBeGreaterThan(100 * TOLERANCE);
  });

  it.each(MODELS)("%s splits texts and lays conversations out as transformers does", (name) => {
    const { files, expected } = load(name);
    const tokenizer = openTokenizer(files);
    for (const { text, ids } of expected.texts) expect(tokenizer.encode(text), text).toEqual(ids);
    expect(tokenizer.encodePrompt(expected.messages, [])).toEqual(expected.prompt);
    expect([...tokenizer.stopIds].sort()).toEqual([0, 2]);
  });
});
