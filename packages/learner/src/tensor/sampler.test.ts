import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, it } from "vitest";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import { openBackend } from "./backend.js";
import { responseLogProbs } from "./policy-loss.js";
import type { SampleRequest } from "./sample-token.js";
import { sampleBatch } from "./sampler.js";
import { initialWeights, uploadWeights } from "./transformer.js";

beforeAll(async () => {
  await openBackend({ name: "wasm" });
});

/** Initial weights with larger matrices, so that the distribution is far from uniform. */
const sharpWeights = () =>
  new Map(
    [...initialWeights(TINY_CONFIG, 3)].map(([name, { shape, data }]) => [
      name,
      { shape, data: data.map((w) => (shape.length === 1 ? w : 20 * w)) },
    ]),
  );

const request = (
  promptIds: readonly number[],
  seed: number,
  overrides: Partial<SampleRequest> = {},
): SampleRequest => ({
  promptIds,
  seed,
  temperature: 1,
  maxTokens: 12,
  stopIds: new Set([0]),
  ...overrides,
});

describe("sampling with a cache", () => {
  it("records the log-probabilities that a full forward pass gives, at any temperature", async () => {
    const parameters = uploadWeights(sharpWeights());
    for (const temperature of [1, 0.7]) {
      const requests = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10], [2, 2]].map((ids, seed) =>
        request(ids, seed, { temperature }),
      );
      const samples = await sampleBatch(parameters, TINY_CONFIG, requests);
      const rows = samples.map(({ ids }, i) => ({ promptIds: requests[i]!.promptIds, ids, temperature }));
      const full = await responseLogProbs(parameters, TINY_CONFIG, rows);
      samples.forEach(({ logProbs }, i) =>
        logProbs.forEach((logProb, t) => expect(logProb).toBeCloseTo(full[i]![t]!, 4)),
      );
    }
  });

  it("samples a row alike alone and beside others", async () => {
    const parameters = uploadWeights(sharpWeights());
    const alone = await sampleBatch(parameters, TINY_CONFIG, [request([3, 4, 5], 7)]);
    const beside = await sampleBatch(parameters, TINY_CONFIG, [
      request([1], 1),
      request([3, 4, 5], 7),
      request([9, 9, 9, 9, 9], 2),
    ]);
    expect(beside[1]!.ids).toEqual(alone[0]!.ids);
  });

  it("keeps within limits and a grammar, and ends where it is told to, as the engine does", async () => {
    const parameters = uploadWeights(sharpWeights());
    const odd = {
      allows: (id: number) => id % 2 === 1,
      allowed: () => Uint8Array.from({ length: 11 }, (_, id) => id % 2),
      accept() {},
    };
    const [greedy, narrow, held, ended] = await sampleBatch(parameters, TINY_CONFIG, [
      request([1, 2], 3, { temperature: 0 }),
      request([1, 2], 3, { truncation: { topK: 1 } }),
      request([1, 2], 3, { constraint: odd }),
      request([1, 2], 3, { endsWith: () => true }),
    ]);
    expect(narrow!.ids).toEqual(greedy!.ids);
    expect(held!.ids.every((id) => id % 2 === 1)).toBe(true);
    expect([ended!.ids.length, ended!.stoppedBy]).toEqual([1, "stop"]);
  });

  it("samples each token as often as the policy says", async () => {
    const parameters = uploadWeights(sharpWeights());
    const draws = 2000;
    const requests = Array.from({ length: draws }, (_, seed) =>
      request([1, 2], seed, { maxTokens: 1, stopIds: new Set() }),
    );
    const samples = await sampleBatch(parameters, TINY_CONFIG, requests);
    const rows = Array.from({ length: 11 }, (_, id) => ({ promptIds: [1, 2], ids: [id], temperature: 1 }));
    const probabilities = (await responseLogProbs(parameters, TINY_CONFIG, rows)).map(([logProb]) =>
      Math.exp(logProb!),
    );
    // χ² with 10 degrees of freedom exceeds 29.6 once in a thousand times.
    const chiSquared = probabilities.reduce((sum, p, id) => {
      const count = samples.filter(({ ids }) => ids[0] === id).length;
      return sum + (count - draws * p) ** 2 / (draws * p);
    }, 0);
    expect(chiSquared).toBeLessThan(29.6);
  });

  it("stops at a stop token, at the limit, at the end of the context and on abort, and leaves no tensor behind", async () => {
    const parameters = uploadWeights(sharpWeights());
    const before = tf.memory().numTensors;
    const controller = new AbortController();
    const samples = await sampleBatch(parameters, TINY_CONFIG, [
      request([1], 1, { stopIds: new Set(Array.from({ length: 11 }, (_, id) => id)) }),
      request([1], 1, { stopIds: new Set(), maxTokens: 5 }),
      request(Array<number>(30).fill(1), 1, { stopIds: new Set() }),
      request([1], 1, { stopIds: new Set(), signal: controller.signal, onToken: () => controller.abort() }),
    ]);
    expect(samples.map(({ ids, stoppedBy }) => [ids.length, stoppedBy])).toEqual([
      [1, "stop"],
      [5, "length"],
      [2, "length"],
      [1, "abort"],
    ]);
    expect(tf.memory().numTensors).toBe(before);
  });
});
