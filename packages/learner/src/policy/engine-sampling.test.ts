import { beforeAll, describe, expect, it } from "vitest";
import { openMachine } from "../engine/machine.js";
import { openBackend } from "../tensor/backend.js";
import { responseLogProbs } from "../tensor/policy-loss.js";
import type { SampleRequest } from "../tensor/sample-token.js";
import { uploadWeights } from "../tensor/transformer.js";
import { ARCHITECTURES, drawnWeights } from "../testing/engine-cases.js";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import { engineSampling } from "./engine-sampling.js";

beforeAll(async () => {
  await openBackend({ name: "wasm" });
});

const request = (
  promptIds: readonly number[],
  seed: number,
  overrides: Partial<SampleRequest> = {},
): SampleRequest => ({ promptIds, seed, temperature: 1, maxTokens: 12, stopIds: new Set([0]), ...overrides });

describe.each(Object.entries(ARCHITECTURES))("sampling %s on the engine", (_name, config) => {
  it("records the log-probabilities that a full forward pass of the tensor path gives", async () => {
    const { learned, frozen } = drawnWeights(config, 3);
    const engine = engineSampling(openMachine({ threads: 1 }), { config, base: frozen, maxBatch: 3 });
    const version = engine.load(learned);
    const parameters = uploadWeights(new Map([...(frozen ?? []), ...learned]));
    const requests = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10], [2, 2], [7]].map((ids, seed) =>
      request(ids, seed, { temperature: seed === 1 ? 0.7 : 1, stopIds: new Set(seed === 2 ? [] : [0]) }),
    );
    const samples = await Promise.all(requests.map((one) => version.sample(one)));
    version.free();
    engine.dispose();
    const rows = samples.map(({ ids }, i) => ({ ...requests[i]!, ids }));
    const full = await responseLogProbs(parameters, config, rows);
    expect(samples[2]!.ids).toHaveLength(12);
    samples.forEach(({ logProbs }, i) =>
      logProbs.forEach((logProb, t) => expect(logProb).toBeCloseTo(full[i]![t]!, 3)),
    );
  });
});

describe("continuous batching", () => {
  const open = (maxBatch: number) => {
    const machine = openMachine({ threads: 1 });
    const version = engineSampling(machine, { config: TINY_CONFIG, base: undefined, maxBatch }).load(
      drawnWeights(TINY_CONFIG, 3).learned,
    );
    return { machine, version };
  };

  it("samples a row alike alone, beside others, and when it joins late or waits for its turn", async () => {
    for (const maxBatch of [1, 8]) {
      const { version } = open(maxBatch);
      const alone = await version.sample(request([3, 4, 5], 7));
      const others = [version.sample(request([1], 1)), version.sample(request([9, 9, 9, 9, 9], 2))];
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
      expect(await version.sample(request([3, 4, 5], 7))).toEqual(alone);
      await Promise.all(others);
    }
  });

  it("lets requests that nobody waits for give way, and samples them alike", async () => {
    const { version } = open(64);
    const ends: string[] = [];
    const never = new Set<number>();
    const alone = await version.sample(request([3, 4, 5], 7, { stopIds: never }));
    const measured = Array.from({ length: 20 }, (_, seed) =>
      version
        .sample(request([1, 2], seed, { background: true, stopIds: never }))
        .finally(() => ends.push("background")),
    );
    const background = version.sample(request([3, 4, 5], 7, { background: true, stopIds: never }));
    await new Promise((resolve) => setImmediate(resolve));
    await version.sample(request([9], 1, { stopIds: never })).finally(() => ends.push("awaited"));
    await Promise.all(measured);
    expect(await background).toEqual(alone);
    // Eight at a time: the first eight end a token or two before the request that came after them, all others later.
    expect(ends.indexOf("awaited")).toBe(8);
  });

  it("cuts a long prompt in the same places whatever runs beside it", async () => {
    const config = { ...TINY_CONFIG, max_position_embeddings: 1000 };
    const version = engineSampling(openMachine(), { config, base: undefined, maxBatch: 8 }).load(
      drawnWeights(config, 3).learned,
    );
    const long = (length: number, seed: number) =>
      request(
        Array.from({ length }, (_, t) => (t * t + seed) % 11),
        seed,
      );
    const alone = await version.sample(long(700, 7));
    const together = [long(300, 1), long(5, 2), long(700, 7), long(90, 3), long(256, 4)].map(version.sample);
    expect((await Promise.all(together))[2]).toEqual(alone);
  });

  it("lets a short response end while a long one runs", async () => {
    const { version } = open(8);
    const ended: string[] = [];
    const stopIds = new Set<number>();
    await Promise.all([
      version.sample(request([1], 1, { stopIds, maxTokens: 20 })).then(() => ended.push("long")),
      version.sample(request([2], 1, { stopIds, maxTokens: 2 })).then(async () => {
        ended.push("short");
        await version.sample(request([3], 1, { stopIds, maxTokens: 2 }));
        ended.push("late");
      }),
    ]);
    expect(ended).toEqual(["short", "late", "long"]);
  });

  it("stops at every kind of end and keeps no memory", async () => {
    const { machine, version } = open(8);
    await version.sample(request([1], 1));
    const before = machine.arena.allocated;
    const controller = new AbortController();
    const all = new Set(Array.from({ length: 11 }, (_, id) => id));
    const none = new Set<number>();
    const samples = await Promise.all([
      version.sample(request([1], 1, { stopIds: all })),
      version.sample(request([1], 1, { stopIds: none, maxTokens: 5 })),
      version.sample(request(Array<number>(30).fill(1), 1, { stopIds: none })),
      version.sample(request([1], 1, { stopIds: none, signal: controller.signal, onToken: () => controller.abort() })),
    ]);
    expect(samples.map(({ ids, stoppedBy }) => [ids.length, stoppedBy])).toEqual([
      [1, "stop"],
      [5, "length"],
      [2, "length"],
      [1, "abort"],
    ]);
    expect(machine.arena.allocated).toBe(before);
  });
});

describe("speculation", () => {
  /** A model whose next token is mostly determined by the last ones, so that text repeats itself. */
  const config = { ...TINY_CONFIG, max_position_embeddings: 128 };
  const weights = new Map(
    [...drawnWeights(config, 3).learned].map(([name, { shape, data }]) => [
      name,
      { shape, data: name === "lm_head.weight" ? data.map((w) => 6 * w) : data },
    ]),
  );
  const open = (speculation: boolean) => {
    const machine = openMachine({ threads: 1 });
    const version = engineSampling(machine, { config, base: undefined, maxBatch: 3, speculation }).load(weights);
    return { machine, sample: version.sample };
  };
  const requests = Array.from({ length: 12 }, (_, i) =>
    request(
      Array.from({ length: 3 + i }, (_, t) => 1 + ((t * t + i) % 9)),
      i,
      { maxTokens: 20 + 6 * i, temperature: i % 3 === 0 ? 0.5 : 1, stopIds: new Set(i % 2 === 0 ? [] : [0]) },
    ),
  );

  it("gives the same tokens and log-probabilities to the bit, alone and among others that come and go", async () => {
    const plain = open(false);
    const expected = [];
    for (const one of requests) expected.push(await plain.sample(one));
    const fast = open(true);
    const together = requests.map(fast.sample);
    expect(await Promise.all(together)).toEqual(expected);
    for (const [i, one] of requests.entries()) expect(await fast.sample(one)).toEqual(expected[i]);
  });

  it("takes fewer passes where text repeats itself", async () => {
    const passesOf = async (speculation: boolean) => {
      const { machine, sample } = open(speculation);
      let passes = 0;
      const pass = machine.arena.pass.bind(machine.arena);
      machine.arena.pass = (run) => {
        passes++;
        return pass(run);
      };
      const { ids } = await sample(request([1, 2, 3], 5, { temperature: 0, maxTokens: 100, stopIds: new Set() }));
      expect(ids).toHaveLength(100);
      return passes;
    };
    expect(await passesOf(false)).toBe(100); // the prompt's pass gives the first token
    expect(await passesOf(true)).toBeLessThan(60);
  });
});
