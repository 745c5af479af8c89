import { mkdtempSync, readFileSync, rmSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { buildTokenizer, CHAT_TEMPLATE, SPECIAL_TOKENS } from "../pretrain/build-tokenizer.js";
import { initialWeights } from "../tensor/transformer.js";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import { readPolicyFolder, writePolicyFolder } from "./policy-folder.js";

const files = {
  config: TINY_CONFIG,
  tokenizer: buildTokenizer(),
  tokenizerConfig: { chat_template: CHAT_TEMPLATE, eos_token: SPECIAL_TOKENS[1] },
  weights: initialWeights(TINY_CONFIG, 1),
};

describe("a policy folder", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "afterstate-policy-"));
    writePolicyFolder(folder, files);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("is read as it was written, and names itself a Llama to other tools", () => {
    const read = readPolicyFolder(folder);
    expect(read.config).toMatchObject({ ...TINY_CONFIG, architectures: ["LlamaForCausalLM"] });
    for (const [name, { data }] of files.weights) expect(read.weights.get(name)!.data).toEqual(data);
  });

  it("is refused by the name of the file that is missing, cut short, damaged or of another architecture", () => {
    const model = join(folder, "model.safetensors");
    const whole = readFileSync(model);
    truncateSync(model, whole.length - 8);
    expect(() => readPolicyFolder(folder)).toThrow(/model\.safetensors/);
    writeFileSync(model, "not weights");
    expect(() => readPolicyFolder(folder)).toThrow(/model\.safetensors/);
    writeFileSync(model, whole);
    writeFileSync(join(folder, "config.json"), JSON.stringify({ ...TINY_CONFIG, vocab_size: 12 }));
    expect(() => readPolicyFolder(folder)).toThrow(
      /"model.embed_tokens.weight" has shape \[11, 8\], expected \[12, 8\]/,
    );
    writeFileSync(join(folder, "config.json"), "{");
    expect(() => readPolicyFolder(folder)).toThrow(/config\.json" is not JSON/);
    unlinkSync(join(folder, "config.json"));
    expect(() => readPolicyFolder(folder)).toThrow(/config\.json" is missing/);
  });
});
