import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openTokenizer } from "../policy/tokenizer.js";
import { openBackend } from "../tensor/backend.js";
import { sampleBatch } from "../tensor/sampler.js";
import { disposeParameters, type Parameters, uploadWeights } from "../tensor/transformer.js";
import { MODEL_FILES } from "../testing/model-files.js";
import type { PolicyFiles } from "./policy-folder.js";
import { readPolicy } from "./read-policy.js";

const PATH = join(MODEL_FILES, "SmolLM2-135M-Instruct.Q4_1.gguf");
const absent = !existsSync(PATH);

describe.skipIf(absent)(
  `SmolLM2-135M-Instruct${absent ? " (skipped: the file is absent; npm run models:test)" : ""}`,
  () => {
    let files: PolicyFiles;
    let parameters: Parameters;
    beforeAll(async () => {
      await openBackend();
      files = await readPolicy(PATH);
      parameters = uploadWeights(files.weights);
    }, 120_000);
    afterAll(() => disposeParameters(parameters));

    it("is the architecture that its config.json describes", () => {
      expect(files.config).toEqual({
        vocab_size: 49_152,
        hidden_size: 576,
        intermediate_size: 1536,
        num_hidden_layers: 30,
        num_attention_heads: 9,
        num_key_value_heads: 3,
        max_position_embeddings: 8192,
        rope_theta: 100_000,
        rms_norm_eps: 1e-5,
        tie_word_embeddings: true,
      });
    });

    it("lays a question out as its template says", () => {
      const tokenizer = openTokenizer(files);
      expect(tokenizer.encodePrompt([{ role: "user", content: "Hi" }], [])).toEqual(
        tokenizer.encode(
          "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
        ),
      );
    });

    it("answers", async () => {
      const tokenizer = openTokenizer(files);
      const request = { seed: 1, temperature: 0, maxTokens: 12, stopIds: tokenizer.stopIds };
      const promptIds = tokenizer.encodePrompt([{ role: "user", content: "What is the capital of France?" }], []);
      const [sample] = await sampleBatch(parameters, files.config, [{ ...request, promptIds }]);
      expect(tokenizer.decode(sample!.ids)).toBe("The capital of France is Paris.");
      expect(sample!.stoppedBy).toBe("stop");
    }, 120_000);
  },
);
