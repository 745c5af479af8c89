import { existsSync } from "node:fs";
import { join } from "node:path";
import { jsonSchema } from "@afterstate/core";
import { beforeAll, describe, expect, it } from "vitest";
import type { PolicyFiles } from "../checkpoints/policy-folder.js";
import { readPolicy } from "../checkpoints/read-policy.js";
import { openMachine } from "../engine/machine.js";
import { packInputs } from "../engine/packed-tokens.js";
import { createScorer } from "../engine/scorer.js";
import { placeFrozen } from "../engine/weights.js";
import { toolCallConstraints } from "../grammar/tool-call-constraint.js";
import type { SampleRequest } from "../tensor/sample-token.js";
import { MODEL_FILES } from "../testing/model-files.js";
import { engineSampling } from "./engine-sampling.js";
import { openTokenizer, type PolicyTokenizer } from "./tokenizer.js";

const PATH = join(MODEL_FILES, "SmolLM2-135M-Instruct.Q4_1.gguf");
const absent = !existsSync(PATH);
const TOKENS = 64;
const ASKED = [
  "Repeat this list twice, word for word: apple, pear, plum, cherry, apple, pear, plum, cherry.",
  "What is the capital of France?",
  "Tell me a story about a fox.",
];

describe.skipIf(absent)(
  `sampling from SmolLM2-135M-Instruct${absent ? " (skipped: the file is absent; npm run models:test)" : ""}`,
  () => {
    let files: PolicyFiles;
    let tokenizer: PolicyTokenizer;
    let requests: readonly SampleRequest[];
    beforeAll(async () => {
      files = await readPolicy(PATH);
      tokenizer = openTokenizer(files);
      requests = ASKED.flatMap((content, seed) =>
        [0.7, 1].map((temperature) => ({
          promptIds: tokenizer.encodePrompt([{ role: "user", content }], []),
          seed,
          temperature,
          maxTokens: TOKENS,
          stopIds: new Set<number>(),
        })),
      );
    }, 120_000);

    it("records log-probabilities that a full forward pass gives to 1e-4, whatever runs beside and however it guesses", async () => {
      const samplesOf = async (speculation: boolean, maxBatch: number) => {
        const engine = engineSampling(openMachine(), { config: files.config, base: undefined, maxBatch, speculation });
        const version = engine.load(files.weights);
        const samples = await Promise.all(requests.map(version.sample));
        version.free();
        engine.dispose();
        return samples;
      };
      const samples = await samplesOf(true, 4);
      expect(await samplesOf(false, 1)).toEqual(samples); // to the bit

      const machine = openMachine();
      const scorer = createScorer(machine, files.config, placeFrozen(machine, files.weights).placed);
      let largest = 0;
      samples.forEach(({ ids, logProbs }, index) => {
        const { promptIds, temperature } = requests[index]!;
        expect(ids).toHaveLength(TOKENS);
        const rows = Int32Array.from(ids, (_, t) => promptIds.length - 1 + t);
        const full = scorer.score(packInputs([[...promptIds, ...ids]]), {
          rows,
          targets: Int32Array.from(ids),
          inverseTemperatures: new Float32Array(ids.length).fill(1 / temperature),
        });
        logProbs.forEach((logProb, t) => {
          largest = Math.max(largest, Math.abs(logProb - full[t]!));
        });
      });
      machine.dispose();
      expect(largest).toBeLessThan(1e-4);
    }, 600_000);

    it("writes calls of the tools there are, of the shape that they ask for", async () => {
      const inputSchema = {
        type: "object",
        properties: { city: { type: "string" }, unit: { enum: ["celsius", "fahrenheit"] }, days: { type: "integer" } },
        required: ["city", "unit"],
        additionalProperties: false,
      };
      const tools = [{ name: "weather", description: "Today's weather.", inputSchema }];
      const asked = tokenizer.encodePrompt([{ role: "user", content: "What is the weather in Paris?" }], tools);
      const tag = tokenizer.encode("<tool_call>"); // the model begins a call
      // Its own form lets a list of calls be empty, which this model prefers.
      const constraints = toolCallConstraints("hermes", {
        bytes: tokenizer.bytes,
        size: files.config.vocab_size,
        stopIds: tokenizer.stopIds,
      });
      const engine = engineSampling(openMachine(), { config: files.config, base: undefined, maxBatch: 4 });
      const version = engine.load(files.weights);
      const samples = await Promise.all(
        [0, 1, 2, 3].map((seed) => {
          const constraint = constraints.constrain(tools, tag.length + TOKENS);
          for (const id of tag) constraint.accept(id);
          const promptIds = [...asked, ...tag];
          return version.sample({
            promptIds,
            seed,
            temperature: 1,
            maxTokens: TOKENS,
            stopIds: tokenizer.stopIds,
            constraint,
          });
        }),
      );
      version.free();
      engine.dispose();
      let calls = 0;
      for (const { ids } of samples) {
        const { toolCalls = [] } = tokenizer.format.parse(tokenizer.decode([...tag, ...ids]), String);
        for (const { name, input } of toolCalls) {
          expect(name).toBe("weather");
          expect(jsonSchema(inputSchema)["~standard"].validate(input)).toEqual({ value: input });
          calls += 1;
        }
      }
      expect(calls).toBe(4);
    }, 600_000);
  },
);
