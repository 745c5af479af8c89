import { beforeAll, describe, expect, it } from "vitest";
import { EMBEDDED_POLICY, readPolicyFolder } from "../checkpoints/policy-folder.js";
import { buildTokenizer, CHAT_TEMPLATE, SPECIAL_TOKENS } from "../pretrain/build-tokenizer.js";
import { openBackend } from "../tensor/backend.js";
import { initialWeights } from "../tensor/transformer.js";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import { openPolicy } from "./policy-runtime.js";
import { openTokenizer } from "./tokenizer.js";

beforeAll(async () => {
  await openBackend({ name: "wasm" });
});

const tokenizerFiles = {
  tokenizer: buildTokenizer(),
  tokenizerConfig: { chat_template: CHAT_TEMPLATE, eos_token: SPECIAL_TOKENS[1] },
};
const config = { ...TINY_CONFIG, vocab_size: openTokenizer(tokenizerFiles).vocabSize, max_position_embeddings: 64 };
const files = {
  ...tokenizerFiles,
  config,
  weights: initialWeights(config, 1),
};
const request = (content: string, seed = 1) => ({ messages: [{ role: "user" as const, content }], tools: [], seed });
const options = { signal: new AbortController().signal };

describe("a policy that serves", () => {
  it("streams the text of its response and records exactly what it sampled", async () => {
    const policy = await openPolicy(files);
    const tokenizer = openTokenizer(files);
    let compared = 0;
    for (let seed = 0; seed < 60; seed++) {
      const stream = policy.model().generate({ ...request("What is 1+1?", seed), maxTokens: 3 }, options);
      let streamed = "";
      for await (const part of stream) if (part.type === "text-delta") streamed += part.text;
      const { message, tokens, policyVersion } = await stream.response();
      expect(policyVersion).toBe("base");
      expect(tokens!.promptIds).toEqual(tokenizer.encodePrompt(request("What is 1+1?").messages, []));
      expect(tokens!.mask).toEqual(tokens!.ids.map(() => 1));
      if (message.toolCalls !== undefined || message.content.includes("\uFFFD")) continue; // an untrained policy writes broken bytes
      expect(streamed).toBe(message.content);
      compared += 1;
    }
    expect(compared).toBeGreaterThan(10);
  });

  it("ends before a stop string, wherever tokens part it, streams nothing of it, and keeps the tokens that were sampled", async () => {
    const embedded = readPolicyFolder(EMBEDDED_POLICY);
    const policy = await openPolicy(embedded);
    const tokenizer = openTokenizer(embedded);
    let cut = 0;
    for (let seed = 0; seed < 40; seed++) {
      const whole = await policy
        .model()
        .generate({ ...request("What is 3 + 4?", seed), maxTokens: 24 }, options)
        .response();
      const { content, toolCalls } = whole.message;
      if (toolCalls !== undefined || content.includes("\uFFFD") || content.length < 8) continue;
      const stop = content.slice(3, 3 + (seed % 4) + 1);
      const stream = policy
        .model()
        .generate({ ...request("What is 3 + 4?", seed), maxTokens: 24, stop: ["never said", stop] }, options);
      let streamed = "";
      for await (const part of stream) if (part.type === "text-delta") streamed += part.text;
      const { message, tokens, finishReason } = await stream.response();
      expect(message.content).toBe(content.slice(0, content.indexOf(stop)));
      expect(streamed).toBe(message.content);
      expect(finishReason).toBe("stop");
      const { ids } = tokens!;
      expect(ids).toEqual(whole.tokens!.ids.slice(0, ids.length));
      expect(tokenizer.decode(ids)).toContain(stop);
      expect(tokenizer.decode(ids.slice(0, -1))).not.toContain(stop);
      cut += 1;
    }
    expect(cut).toBeGreaterThan(5);
  });

  it("scores responses as it sampled them, side by side, at their temperatures", async () => {
    const policy = await openPolicy(files);
    const sampled = await Promise.all(
      [1, 0.7].map((temperature, seed) =>
        policy
          .model()
          .generate({ ...request("What is 1+1?", seed), temperature, maxTokens: 8 }, options)
          .response(),
      ),
    );
    const scored = await policy.score(
      "base",
      sampled.map(({ tokens }) => tokens!),
    );
    for (const [row, { tokens }] of sampled.entries()) {
      expect(scored[row]!.length).toBe(tokens!.ids.length);
      for (const [t, logProb] of tokens!.logProbs.entries()) expect(scored[row]![t]).toBeCloseTo(logProb, 4);
    }
    expect(await policy.score("base", [])).toEqual([]);
    const long = { promptIds: Array<number>(60).fill(1), ids: [1, 1, 1, 1, 1], temperature: 1 };
    await expect(policy.score("base", [long])).rejects.toMatchObject({ code: "model/context-overflow" });
    await expect(
      policy.score(
        "v9",
        sampled.map(({ tokens }) => tokens!),
      ),
    ).rejects.toThrow(/"v9" is not loaded/);
  });

  it("keeps within limits, and says which tokens they forced", async () => {
    const policy = await openPolicy(files);
    const generate = async (wishes: object) =>
      (
        await policy
          .model()
          .generate({ ...request("Hi"), ...wishes }, options)
          .response()
      ).tokens!;
    const [greedy, narrow, wide] = [
      await generate({ temperature: 0 }),
      await generate({ topK: 1 }),
      await generate({ topK: 10_000, topP: 1, minP: 0 }),
    ];
    expect(narrow.ids).toEqual(greedy.ids);
    expect(narrow.mask).toContain(0);
    expect(wide).toEqual(await generate({}));
    await expect(generate({ topP: 0 })).rejects.toMatchObject({ code: "model/invalid-option" });
  });

  it("writes calls that can be read where it is held to the tools' grammar, and all else as it would without", async () => {
    const embedded = readPolicyFolder(EMBEDDED_POLICY);
    const inputSchema = { type: "object", properties: { expression: { type: "string" } }, required: ["expression"] };
    const tools = [
      { name: "calculator", description: "", inputSchema: { ...inputSchema, additionalProperties: false } },
    ];
    const free = await openPolicy(embedded);
    const held = await openPolicy(embedded, { toolGrammar: true });
    const [alike, mended] = [new Set<number>(), new Set<number>()];
    for (let seed = 0; seed < 60; seed++) {
      // Hot, so that many calls go wrong.
      const asked = { ...request("What is 12*34? Use the calculator.", seed), tools, temperature: 1.8, maxTokens: 40 };
      const respond = async (policy: typeof free) => policy.model().generate(asked, options).response();
      const [loose, strict] = [await respond(free), await respond(held)];
      for (const { name, input } of strict.message.toolCalls ?? []) {
        expect(name).toBe("calculator");
        expect(Object.keys(input as object)).toEqual(["expression"]);
      }
      const forced = strict.tokens!.mask.indexOf(0);
      if (forced === -1) expect(strict).toEqual(loose);
      else expect(strict.tokens!.ids.slice(0, forced)).toEqual(loose.tokens!.ids.slice(0, forced));
      (forced === -1 ? alike : mended).add(seed);
    }
    expect(alike.size).toBeGreaterThan(0);
    expect(mended.size).toBeGreaterThan(5);
  });

  it("gives the same response to the same request, alone or among others", async () => {
    const policy = await openPolicy(files);
    const ask = async (content: string) =>
      (await policy.model().generate(request(content), options).response()).tokens!.ids;
    const alone = await ask("3+4");
    const [first, again] = await Promise.all([ask("3+4"), ask("3+4"), ask("What is 12*7?")]);
    expect([first, again]).toEqual([alone, alone]);
  });

  it("lets running requests finish on their version, and new ones take the new one at once", async () => {
    const policy = await openPolicy(files);
    policy.load("v1", initialWeights(config, 2));
    const before = policy.model().generate(request("1+1"), options);
    policy.serve("v1");
    policy.unload("base");
    const after = policy.model().generate(request("1+1"), options);
    expect((await before.response()).policyVersion).toBe("base");
    expect((await after.response()).policyVersion).toBe("v1");
    expect(() => policy.weights("base")).toThrow(/"base" is not loaded; loaded are v1/);
  });

  it("refuses weights of another shape, a version twice, and unloading the one that serves", async () => {
    const policy = await openPolicy(files);
    const wrong = initialWeights({ ...config, num_hidden_layers: 1 }, 1);
    expect(() => policy.load("v1", wrong)).toThrow(/"model.layers.1.input_layernorm.weight" is missing/);
    expect(() => policy.load("base", files.weights)).toThrow(/already loaded/);
    expect(() => policy.unload("base")).toThrow(/is serving/);
  });

  it("rejects a context that is longer than it holds, with a remedy", async () => {
    const policy = await openPolicy(files);
    const response = policy
      .model()
      .generate(request("9".repeat(80)), options)
      .response();
    await expect(response).rejects.toMatchObject({ code: "model/context-overflow" });
  });
});
