import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EMPTY_CREDIT } from "../credit/step-credit.js";
import type { PolicyWeights } from "../types.js";
import type { BatchRecord } from "./batch-record.js";
import { bootstrapInterval, judgeCandidate } from "./gate.js";
import { NO_COUNTS, type ServingPointer, type VersionManifest } from "./version-manifest.js";
import { openVersionStore } from "./version-store.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "afterstate-versions-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const arrays = (value: number): PolicyWeights => new Map([["w", { shape: [2], data: Float32Array.of(value, -value) }]]);
const manifest = (number: number, promoted = true): VersionManifest => ({
  version: `v${number}`,
  parent: number === 1 ? "base" : `v${number - 1}`,
  ancestors: [...Array.from({ length: number - 1 }, (_, i) => `v${number - 1 - i}`), "base"],
  createdAt: 5,
  promoted,
  samples: [{ of: { episodeId: "a/0", stepIndex: 1 }, offset: 3 }],
  gate: { accepted: 1 },
  metrics: { loss: -0.5 },
  learned: { offset: number * 10, consumed: [`a/${number}`], credit: EMPTY_CREDIT },
  batch: number,
});
const batch = (number: number): BatchRecord => ({
  sequence: number,
  after: number - 1,
  episodes: [{ episodeId: `a/${number}`, offset: number * 10, signals: [] }],
  samples: manifest(number).samples,
  dropped: [],
  counts: { ...NO_COUNTS, updates: number },
});
const pointer = (number: number): ServingPointer => ({
  sequence: number,
  line: 0,
  lastBatch: number,
  unlearnedUpTo: 0,
  version: number === 0 ? "base" : `v${number}`,
  ancestors: number === 0 ? [] : manifest(number).ancestors,
  lastNumber: number,
  learned: number === 0 ? { offset: 0, consumed: [], credit: EMPTY_CREDIT } : manifest(number).learned,
  rewards: {},
  counts: { ...NO_COUNTS, updates: number },
  outbox: [],
});

async function threeVersions() {
  const store = await openVersionStore(folder);
  for (const number of [1, 2, 3]) {
    await store.write(manifest(number), arrays(number), arrays(-number));
    await store.writeBatch(batch(number));
  }
  await store.point(pointer(3));
  return store;
}

describe("the version store", () => {
  it("gives back what it was given, and what serves", async () => {
    const store = await threeVersions();
    expect(await store.versions()).toEqual(["v1", "v2", "v3"]);
    expect(await store.weights("v2")).toEqual(arrays(2));
    expect(await store.optimizer("v2")).toEqual(arrays(-2));
    expect(await store.manifest("v2")).toMatchObject({
      ...manifest(2),
      files: { "model.safetensors": { bytes: 104 } },
    });
    expect(await (await openVersionStore(folder)).recover("base")).toEqual({
      pointer: pointer(3),
      weights: arrays(3),
      problems: [],
    });
  });

  it("begins with nothing, and names what it does not have", async () => {
    const store = await openVersionStore(join(folder, "new"));
    expect(await store.recover("base")).toEqual({ pointer: undefined, weights: undefined, problems: [] });
    await expect(store.weights("v7")).rejects.toMatchObject({ code: "policy/unknown-version" });
  });

  it("removes what a crash left half-written", async () => {
    await threeVersions();
    await mkdir(join(folder, "v4.tmp"));
    await writeFile(join(folder, "serving.tmp"), "{");
    const store = await openVersionStore(folder);
    expect((await readdir(folder)).sort()).toEqual(["batches", "serving", "v1", "v2", "v3"]);
    expect((await store.recover("base")).pointer).toEqual(pointer(3));
  });

  it.each([
    ["truncated", (path: string) => truncate(path, 20)],
    [
      "changed in one bit",
      async (path: string) => {
        const bytes = await readFile(path);
        bytes[bytes.length - 1]! ^= 1;
        await writeFile(path, bytes);
      },
    ],
    ["missing", (path: string) => rm(path)],
  ])(
    "goes back to the newest intact ancestor when the weights are %s, with what that one had learned",
    async (_, damage) => {
      const store = await threeVersions();
      await damage(join(folder, "v3", "model.safetensors"));
      const facts = { code: "checkpoint/corrupt", file: join(folder, "v3", "model.safetensors") };
      await expect(store.weights("v3")).rejects.toMatchObject({ ...facts, expected: expect.any(String) });
      const recovery = await store.recover("base");
      expect(recovery.weights).toEqual(arrays(2));
      expect(recovery.pointer).toMatchObject({
        version: "v2",
        lastNumber: 3,
        learned: manifest(2).learned,
        sequence: 3,
        lastBatch: 2,
        counts: { updates: 2 },
      });
      expect(recovery.problems).toMatchObject([{ code: "checkpoint/corrupt" }]);
      expect(recovery.problems[0]!.message).toContain(join("v3", "model.safetensors"));
      expect(recovery.problems[0]!.message).toContain("put back an intact copy");
    },
  );

  it("refuses what belongs to another policy, naming file, array, expected and found, and leaves nothing behind for it", async () => {
    const store = await openVersionStore(folder);
    const weights = new Map([["a", { shape: [2, 3], data: new Float32Array(6) }]]);
    const moments = (shape: readonly number[]) => ({ shape, data: new Float32Array(6) });
    const state = (shape: readonly number[]): PolicyWeights =>
      new Map([
        ["a.exp_avg", moments(shape)],
        ["a.exp_avg_sq", moments([2, 3])],
        ["step", { shape: [1], data: Float32Array.of(3) }],
        ["kept_beside", { shape: [1], data: Float32Array.of(1) }],
      ]);
    await store.write(manifest(1), weights, state([2, 3]));
    await store.write(manifest(2), weights, state([3, 2]));
    await store.point(pointer(2));
    expect(await store.weights("v2", weights)).toEqual(weights);
    expect(await store.optimizer("v1", weights)).toEqual(state([2, 3]));
    expect((await store.recover("base", weights)).pointer).toEqual(pointer(2));
    const mismatch = { code: "checkpoint/mismatch", tensor: "a" };
    await expect(store.optimizer("v2", weights)).rejects.toMatchObject({
      ...mismatch,
      file: join(folder, "v2", "optimizer.safetensors"),
      tensor: "a.exp_avg",
      expected: "shape [2, 3]",
      found: "shape [3, 2]",
    });
    const file = join(folder, "v2", "model.safetensors");
    const wider: PolicyWeights = new Map([["a", { shape: [2, 4], data: new Float32Array(8) }]]);
    const other = { ...mismatch, file, expected: "shape [2, 4]", found: "shape [2, 3]" };
    await expect(store.weights("v2", wider)).rejects.toMatchObject(other);
    await expect(store.recover("base", wider)).rejects.toMatchObject(other);
    const renamed: PolicyWeights = new Map([["b", weights.get("a")!]]);
    await expect(store.recover("base", renamed)).rejects.toMatchObject({ tensor: "b", found: "nothing" });
    expect(await store.versions()).toEqual(["v1", "v2"]);
  });

  it("goes back past several damaged ones, to the base if need be", async () => {
    const store = await threeVersions();
    await rm(join(folder, "v3"), { recursive: true });
    await writeFile(join(folder, "v2", "manifest.json"), "{");
    expect((await store.recover("base")).pointer).toMatchObject({ version: "v1" });
    await truncate(join(folder, "v1", "model.safetensors"), 0);
    const recovery = await store.recover("base");
    expect(recovery).toMatchObject({
      weights: undefined,
      pointer: { version: "base", learned: { offset: 0 }, lastNumber: 3 },
    });
    expect(recovery.problems).toHaveLength(3);
  });

  it("finds the newest promoted version when the pointer itself is damaged", async () => {
    const store = await threeVersions();
    await store.write(manifest(4, false), arrays(4), arrays(-4));
    await writeFile(join(folder, "serving"), "");
    expect(await store.recover("base")).toMatchObject({
      pointer: { version: "v3" },
      problems: [{ code: "checkpoint/corrupt" }],
    });
  });

  it("prunes old versions, never the serving one, and keeps the optimizer of that one alone", async () => {
    const store = await threeVersions();
    await store.prune(1, ["v1"]);
    expect(await store.versions()).toEqual(["v1", "v3"]);
    expect(await store.optimizer("v1")).toEqual(arrays(-1));
    expect(await store.optimizer("v3")).toBeUndefined();
    expect(await store.weights("v3")).toEqual(arrays(3));
  });
});

describe("the gate", () => {
  const limits = { maxKl: 0.5, minEntropy: 0.01, confidence: 0.95 };
  const judge = (candidate: number[], best: number[], metrics = {}) =>
    judgeCandidate({ candidate, best, metrics: { kl: 0.1, entropy: 0.2, ...metrics }, limits, seed: 1 });
  const even = Array.from({ length: 40 }, (_, i) => i % 2);

  it("accepts the same, the better, and the slightly worse", () => {
    expect(judge(even, even)).toMatchObject({
      accepted: true,
      numbers: { difference: 0, low: 0, high: 0, episodes: 40 },
    });
    expect(
      judge(
        even.map(() => 1),
        even,
      ).accepted,
    ).toBe(true);
    expect(judge([...even.slice(0, 38), 0, 0], even).accepted).toBe(true);
    expect(judge([], []).accepted).toBe(true);
  });

  it("rejects the significantly worse, by pairs", () => {
    // 12 of 40 episodes lost, none won: mean −.3, standard error √(.3·.7/40) = .072
    const worse = judge(
      even.map((score, i) => (i < 24 ? 0 : score)),
      even,
    );
    expect(worse.accepted).toBe(false);
    expect(worse.numbers.difference).toBeCloseTo(-0.3, 12);
    expect(worse.numbers.low).toBeCloseTo(-0.3 - 1.96 * 0.0725, 1);
    expect(worse.numbers.high).toBeLessThan(0);
  });

  it("rejects what is not finite, strayed or collapsed, saying why", () => {
    expect(judge(even, even, { loss: Number.NaN }).reason).toContain("loss is NaN");
    expect(judge([Number.NaN], [1]).reason).toContain("not a finite number");
    expect(judge(even, even, { kl: 0.6 }).reason).toContain("over the limit of 0.5");
    expect(judge(even, even, { entropy: 0.001 }).reason).toContain("under the limit of 0.01");
    expect(() => judge([1], [])).toThrow("episode by episode");
  });

  it("uses an interval that covers the mean about as often as it says", () => {
    // 100 samples of 30 coin throws: a 90 % interval misses .5 in about 10
    let missed = 0;
    for (let seed = 0; seed < 100; seed++) {
      const throws = Array.from({ length: 30 }, (_, i) => (Math.imul(seed * 30 + i + 1, 0x9e3779b1) >>> 31) & 1);
      const [low, high] = bootstrapInterval(throws, 0.9, seed);
      if (low > 0.5 || high < 0.5) missed++;
    }
    expect(missed).toBeLessThan(25);
  });
});
