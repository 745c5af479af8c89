import { AgentError, type Message, type ToolDefinition } from "@afterstate/core";
import type { PolicyRuntime, PolicyTrainer, PolicyWeights, UpdateRequest } from "../types.js";

/** A policy runtime without a model: weights are one array `w`, prompts are encoded by character. */
export interface FakePolicy extends PolicyRuntime {
  /** What was done to it, in order: "load v1", "serve v1", "unload base". */
  readonly operations: readonly string[];
  readonly loaded: readonly string[];
}

/** The ids of a prompt as the fake policy sees it: "role: content" lines, and the names of the tools. */
export function fakePrompt(messages: readonly Message[], tools: readonly ToolDefinition[]): readonly number[] {
  const text = [...tools.map(({ name }) => `[${name}]`), ...messages.map(({ role, content }) => `${role}: ${content}`)];
  return [...text.join("\n")].map((character) => character.codePointAt(0)!);
}

/** Makes a fake policy that serves the version `base`, whose weights are zeros. */
export function fakePolicy(size = 64): FakePolicy {
  const operations: string[] = [];
  const versions = new Map<string, PolicyWeights>([
    ["base", new Map([["w", { shape: [size], data: new Float32Array(size) }]])],
  ]);
  let serving = "base";
  const known = (version: string): PolicyWeights => {
    const weights = versions.get(version);
    if (!weights) throw new AgentError("policy/unknown-version", `policy version "${version}" is not loaded`);
    return weights;
  };
  return {
    backend: "fake",
    operations,
    get serving() {
      return serving;
    },
    get loaded() {
      return [...versions.keys()];
    },
    load(version, weights) {
      if (versions.has(version)) throw new AgentError("policy/duplicate-version", `"${version}" is loaded`);
      operations.push(`load ${version}`);
      versions.set(version, weights);
    },
    serve(version) {
      known(version);
      operations.push(`serve ${version}`);
      serving = version;
    },
    unload(version) {
      known(version);
      if (version === serving) throw new AgentError("policy/serving-version", `"${version}" is serving`);
      operations.push(`unload ${version}`);
      versions.delete(version);
    },
    get versions() {
      return [...versions.keys()];
    },
    tokenBytes: (id) => Buffer.from(String.fromCodePoint(id)),
    weights: known,
    model: () => {
      throw new AgentError("model/failed", "the fake policy has no model");
    },
    encodePrompt: fakePrompt,
    score: async (version, responses) => {
      known(version);
      return responses.map(({ ids }) => ids.map(() => -1));
    },
    dispose() {},
  };
}

/** A trainer that counts instead of training: each sample adds 1 to the weight that `placeOf` names. */
export interface FakeTrainer extends PolicyTrainer {
  readonly requests: readonly UpdateRequest[];
}

/** Makes a fake trainer. `placeOf` gives a sample's index in `w`; `failures` are thrown in turn, undefined for success. */
export function fakeTrainer(
  placeOf: (sample: UpdateRequest["samples"][number]) => number,
  failures: (Error | undefined)[] = [],
): FakeTrainer {
  const requests: UpdateRequest[] = [];
  return {
    backend: "fake",
    requests,
    async update(request) {
      requests.push(request);
      const failure = failures.shift();
      if (failure) throw failure;
      const { shape, data } = request.weights.get("w")!;
      const moved = data.slice();
      for (const sample of request.samples) moved[placeOf(sample)]! += 1;
      const steps = (request.optimizer?.get("step")?.data[0] ?? 0) + 1;
      return {
        weights: new Map([["w", { shape, data: moved }]]),
        optimizer: new Map([
          ["w.exp_avg", { shape, data: new Float32Array(data.length) }],
          ["w.exp_avg_sq", { shape, data: new Float32Array(data.length) }],
          ["step", { shape: [1], data: Float32Array.of(steps) }],
        ]),
        metrics: { loss: -0.5, kl: 0.01, entropy: 0.4, tokens: request.samples.length },
      };
    },
    async dispose() {},
  };
}
