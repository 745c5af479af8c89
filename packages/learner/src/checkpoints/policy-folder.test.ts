import { mkdtempSync, readFileSync, rmSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openTokenizer } from "../policy/tokenizer.js";
import { buildTokenizer, CHAT_TEMPLATE, SPECIAL_TOKENS } from "../pretrain/build-tokenizer.js";
import { initialWeights } from "../tensor/transformer.js";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import { readPolicyFolder, writePolicyFolder } from "./policy-folder.js";

const tokenizerFiles = {
  tokenizer: buildTokenizer(),
  tokenizerConfig: { chat_template: CHAT_TEMPLATE, eos_token: SPECIAL_TOKENS[1] },
};
const config = { ...TINY_CONFIG, vocab_size: openTokenizer(tokenizerFiles).vocabSize };
const files = {
  ...tokenizerFiles,
  config,
  weights: initialWeights(config, 1),
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
    expect(read.config).toEqual(config);
    expect(JSON.parse(readFileSync(join(folder, "config.json"), "utf8"))).toMatchObject({
      architectures: ["LlamaForCausalLM"],
      model_type: "llama",
    });
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
    writeFileSync(
      join(folder, "config.json"),
      JSON.stringify({ ...config, model_type: "llama", vocab_size: config.vocab_size + 1 }),
    );
    expect(() => readPolicyFolder(folder)).toThrow(
      /model\.safetensors", tensor "model\.embed_tokens\.weight": expected shape \[\d+, 8\], found shape \[\d+, 8\]/,
    );
    writeFileSync(join(folder, "config.json"), "{");
    expect(() => readPolicyFolder(folder)).toThrow(/config\.json": expected JSON/);
    unlinkSync(join(folder, "config.json"));
    expect(() => readPolicyFolder(folder)).toThrow(/config\.json".* is missing/);
  });
});
