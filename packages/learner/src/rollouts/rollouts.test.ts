import type { LanguageModel, Message } from "@afterstate/core";
import { beforeAll, describe, expect, it } from "vitest";
import type { CreditOptions } from "../credit/credited-trajectory.js";
import type { RolloutTask } from "../environments/rollout-environment.js";
import { chainPolicyFiles } from "../environments/tool-chain/chain-policy.js";
import { openPolicy } from "../policy/policy-runtime.js";
import { openTokenizer } from "../policy/tokenizer.js";
import { openBackend } from "../tensor/backend.js";
import { responseLogProbs } from "../tensor/policy-loss.js";
import { initialWeights, uploadWeights } from "../tensor/transformer.js";
import { PLAIN_UPDATE } from "../testing/plain-update.js";
import { createTrainer } from "../trainer/trainer.js";
import type { PolicyWeights, UpdateOptions } from "../types.js";
import { type CollectOptions, collectRollouts, type TrajectoryGroup } from "./collect-rollouts.js";
import { preferencePairs } from "./preference-pairs.js";
import { actAs, rollOut } from "./roll-out.js";
import { startTraining, trainOnRollouts } from "./train-on-rollouts.js";

const FILES = chainPolicyFiles();
const TOKENIZER = openTokenizer(FILES);
const WEIGHTS = initialWeights(FILES.config, 1);
const CREDIT: CreditOptions = { credit: "group", gamma: 1, lambda: 0.95, decay: 0.9 };
const UPDATE: UpdateOptions = { ...PLAIN_UPDATE, learningRate: 3e-3, epochs: 2, lossDenominator: 60 };

beforeAll(async () => {
  await openBackend({ name: "wasm" });
});

/** Two steps; the first is a tool's where its text begins with a digit, and then it is worth `worth`. */
const digits = (id: string, worth = 1): RolloutTask => ({
  id,
  open() {
    let steps = 0;
    const observation = () => ({
      messages: [{ role: "user", content: `${steps}` }] as Message[],
      anchor: `${steps}`,
      stateKey: `${steps}`,
    });
    return {
      observation: observation(),
      step(text) {
        const digit = /^\d/.test(text);
        steps++;
        const kind = steps === 1 && digit ? "tool" : "answer";
        const reward = kind === "tool" ? worth : digit ? 1 : -1;
        return { observation: observation(), reward, kind, terminated: steps === 2, truncated: false };
      },
    };
  },
});

async function collect(options: Partial<CollectOptions> = {}, weights: PolicyWeights = WEIGHTS) {
  const policy = await openPolicy({ ...FILES, weights }, { version: "v3" });
  try {
    let drawn = 0;
    return await collectRollouts({
      model: policy.model(),
      draw: () => digits(`${drawn++}`),
      groups: 3,
      groupSize: 8,
      seed: 7,
      sampling: { maxTokens: 2 },
      ...options,
    });
  } finally {
    policy.dispose();
  }
}

async function train(groups: readonly TrajectoryGroup[], update: Partial<UpdateOptions> = {}, credit = CREDIT) {
  const trainer = await createTrainer(FILES.config);
  try {
    const options = { credit, update: { ...UPDATE, ...update }, reference: WEIGHTS };
    return await trainOnRollouts(trainer, groups, startTraining(WEIGHTS), options);
  } finally {
    await trainer.dispose();
  }
}

const difference = (left: PolicyWeights, right: PolicyWeights) =>
  Math.max(
    ...[...left].map(([name, { data }]) => Math.max(...data.map((x, i) => Math.abs(x - right.get(name)!.data[i]!)))),
  );

describe("rollouts", () => {
  it("are groups of attempts by one version, each what its seed makes it, whatever runs beside it", async () => {
    const { groups, dropped, failures } = await collect();
    expect(groups.map(({ trajectories }) => trajectories.length)).toEqual([8, 8, 8]);
    expect([dropped, failures.length]).toEqual([0, 0]);
    const steps = groups.flatMap(({ trajectories }) => trajectories.flatMap(({ steps }) => steps));
    expect(new Set(steps.map(({ policyVersion }) => policyVersion))).toEqual(new Set(["v3"]));
    for (const { tokens, text } of steps) expect(TOKENIZER.decode(tokens.ids)).toBe(text);
    expect(new Set(steps.map(({ text }) => text)).size).toBeGreaterThan(20);
    const alone = await collect({ groupSize: 1 });
    for (const [i, { trajectories }] of alone.groups.entries())
      expect(trajectories[0]!.steps).toEqual(groups[i]!.trajectories[0]!.steps);
  });

  it("whose outcomes are all equal are dropped and drawn again, up to a cap", async () => {
    let drawn = 0;
    // Every second task ends alike whatever is done.
    const draw = (): RolloutTask => {
      const task = digits(`${drawn++}`);
      return drawn % 2 === 0 ? task : { id: task.id, open: () => ({ ...task.open(), step: () => ended(1) }) };
    };
    const ended = (reward: number) => ({
      observation: { messages: [], anchor: "", stateKey: "" },
      reward,
      kind: "answer" as const,
      terminated: true,
      truncated: false,
    });
    const { groups, dropped } = await collect({ draw, dynamicSampling: { maxRounds: 8 } });
    expect(groups.length).toBe(3);
    for (const { trajectories } of groups)
      expect(new Set(trajectories.map(({ outcome }) => outcome)).size).toBeGreaterThan(1);
    expect(dropped).toBe(drawn - 3);
    expect(dropped).toBeGreaterThan(0);
    const hopeless = () => ({ id: "x", open: () => ({ ...digits("x").open(), step: () => ended(0) }) });
    await expect(collect({ draw: hopeless, dynamicSampling: { maxRounds: 2 } })).rejects.toThrow(
      /only 0 of the 3 groups wanted had different outcomes, among 6 in 2 rounds/,
    );
  });

  it("that are too long lose reward at their last step, after groups were chosen by outcomes as they were", async () => {
    const plain = await collect();
    const shaped = await collect({ overlong: { maxLength: 4, bufferLength: 2, factor: 1 } });
    for (const [i, { trajectories }] of shaped.groups.entries())
      for (const [j, { steps, outcome }] of trajectories.entries()) {
        const before = plain.groups[i]!.trajectories[j]!;
        const tokens = steps.reduce((sum, { tokens }) => sum + tokens.ids.length, 0);
        // From 2 tokens on half a point each, so −1 at 4.
        expect(steps[1]!.reward).toBeCloseTo(before.steps[1]!.reward! - Math.max(0, (tokens - 2) / 2), 12);
        expect(outcome).toBe(before.outcome);
      }
  });

  it("that break off are told and left out", async () => {
    let opened = 0;
    const draw = () => ({
      id: "t",
      open: () =>
        opened++ % 2 === 0
          ? digits("t").open()
          : { ...digits("t").open(), step: () => Promise.reject(new Error("no tool")) },
    });
    const { groups, failures } = await collect({ draw });
    expect(groups.map(({ trajectories }) => trajectories.length)).toEqual([4, 4, 4]);
    expect(failures[0]).toEqual({ task: "t", message: "no tool" });
    expect(failures.length).toBe(12);
  });

  it("carry what factuality, omission and information gain go by", async () => {
    const omitted = { thoughtTokens: 2, observationTokens: 0, totalTokens: 8 };
    const draw = (): RolloutTask => ({
      id: "t",
      open() {
        const episode = digits("t").open();
        const said = { factuality: [{ start: 0, end: 1, value: -1 }], omitted };
        return { ...episode, step: async (text) => ({ ...(await episode.step(text)), ...said }) };
      },
    });
    const goldLogProb = (_: RolloutTask, [message]: readonly Message[]) => Number(message!.content) - 3;
    const { groups } = await collect({ draw, goldLogProb, decode: TOKENIZER.decode });
    for (const { trajectories } of groups)
      for (const { steps, priorLogProb, omitted: left } of trajectories) {
        expect([priorLogProb, ...steps.map(({ goldLogProb }) => goldLogProb)]).toEqual([-3, -2, -1]);
        expect(left).toBe(omitted);
        for (const { factuality, tokens, text } of steps)
          if (text.length > 1 && !tokens.ids.includes(TOKENIZER.endId))
            expect(factuality).toEqual(tokens.ids.map((_, t) => (t === 0 ? -1 : 0)));
      }
    for (const credit of ["factuality", "omission", "information-gain"] as const)
      expect((await train(groups, {}, { ...CREDIT, credit })).samples).toBeGreaterThan(0);
  });

  it("need a model that keeps what it sampled", async () => {
    const message = { role: "assistant", content: "5" } as const;
    const response = {
      message,
      finishReason: "stop",
      usage: { inputTokens: 1, outputTokens: 1 },
      policyVersion: "gpt",
    } as const;
    const hosted = { name: "gpt", policyVersion: () => "gpt", generate: () => ({ response: async () => response }) };
    await expect(collect({ model: hosted as unknown as LanguageModel })).rejects.toThrow(/keeps no token record/);
  });
});

describe("training on rollouts", () => {
  it.each(["group", "step", "hierarchical"] as const)(
    "by %s credit makes what was rewarded likelier",
    async (credit) => {
      const share = (groups: readonly TrajectoryGroup[]) => {
        const texts = groups.flatMap(({ trajectories }) => trajectories.flatMap(({ steps }) => steps));
        return texts.filter(({ text }) => /^\d/.test(text)).length / texts.length;
      };
      const trainer = await createTrainer(FILES.config);
      let training = startTraining(WEIGHTS);
      const before = share((await collect({ seed: 99 })).groups);
      for (let update = 0; update < 6; update++) {
        const { groups } = await collect({ seed: update }, training.weights);
        const options = { credit: { ...CREDIT, credit, whiten: true }, update: UPDATE, reference: WEIGHTS };
        ({ training } = await trainOnRollouts(trainer, groups, training, options));
      }
      await trainer.dispose();
      expect(before).toBeLessThan(0.7);
      expect(share((await collect({ seed: 99 }, training.weights)).groups)).toBeGreaterThan(before + 0.15);
    },
  );

  it.each(["step", "group", "hierarchical"] as const)(
    "by %s credit ends at the same weights when one kind of action has rewards a hundred times larger",
    async (credit) => {
      const worth = async (size: number) =>
        (await train((await collect({ draw: () => digits("t", size) })).groups, {}, { ...CREDIT, credit })).training
          .weights;
      const [plain, larger, turned] = [await worth(0.5), await worth(50), await worth(-0.5)];
      expect(difference(larger, plain)).toBeLessThan(5e-5); // Adam makes much of the rounding of a gradient of 0
      expect(difference(turned, plain)).toBeGreaterThan(1e-3);
      expect(difference(plain, WEIGHTS)).toBeGreaterThan(1e-3);
    },
  );

  it("never looks at a masked token, in any credit or objective", async () => {
    const { groups } = await collect();
    const poisoned = (poison: number) =>
      groups.map((group) => ({
        ...group,
        trajectories: group.trajectories.map((trajectory) => ({
          ...trajectory,
          steps: trajectory.steps.map((step, k) => {
            if (k === 1) return step;
            const mask = step.tokens.ids.map((_, t) => (t === 0 ? 0 : 1));
            const logProbs = step.tokens.logProbs.map((x, t) => (t === 0 ? poison : x));
            const factuality = mask.map((own) => (own ? 1 : poison));
            return { ...step, mask, factuality, tokens: { ...step.tokens, mask, logProbs } };
          }),
        })),
      }));
    const correction = { level: "sequence", upper: 2, outside: "clamp" } as const;
    const objective = {
      loss: { name: "sapo", tauPositive: 1, tauNegative: 1.05 },
      aggregation: "token-mean",
      correction,
    } as const;
    for (const credit of ["token", "factuality", "hierarchical"] as const) {
      const weights = async (poison: number) =>
        (await train(poisoned(poison), { objective }, { ...CREDIT, credit, whiten: true })).training.weights;
      expect(difference(await weights(1e6), await weights(-3))).toBe(0);
    }
  });

  it("corrects what an older version sampled, and drops what is too old", async () => {
    const { groups } = await collect();
    const trainer = await createTrainer(FILES.config);
    const options = { credit: CREDIT, update: UPDATE, reference: WEIGHTS };
    // As if the version that sampled had found its tokens e times likelier than the one that is trained.
    const old = groups.map((group) => ({
      ...group,
      trajectories: group.trajectories.map((trajectory) => ({
        ...trajectory,
        steps: trajectory.steps.map((step) => ({
          ...step,
          tokens: { ...step.tokens, logProbs: step.tokens.logProbs.map((x) => x + 1) },
        })),
      })),
    }));
    const objective = { loss: { name: "importance-sampling" }, aggregation: "constant" } as const;
    for (const update of [UPDATE, { ...UPDATE, objective }]) {
      const norm = async (version: string) =>
        (await trainOnRollouts(trainer, old, startTraining(WEIGHTS), { ...options, update, version })).metrics
          .gradientNorm!;
      // Every weight is 1/e, and the gradient that much smaller; Adam hides it from the step. A version's own samples are its own.
      expect((await norm("v3")) / (await norm("v4"))).toBeCloseTo(update === UPDATE ? Math.E : 1, 0);
    }
    const itself = { ...UPDATE, objective };
    const plain = await trainOnRollouts(trainer, old, startTraining(WEIGHTS), { ...options, update: itself });
    const weighed = await trainOnRollouts(trainer, old, startTraining(WEIGHTS), {
      ...options,
      update: itself,
      version: "v4",
    });
    expect(plain.metrics.gradientNorm! / weighed.metrics.gradientNorm!).toBeCloseTo(Math.E, 0);
    const away = { ...options, staleness: (version: string) => (version === "v3" ? 5 : 0) };
    await expect(trainOnRollouts(trainer, old, startTraining(WEIGHTS), away)).rejects.toThrow(
      /none of 48 samples says anything/,
    );
    await trainer.dispose();
  });

  it("by what was rewarded alone leaves the others out of the denominator, too", async () => {
    const { groups } = await collect();
    const supervised = { loss: { name: "reinforce" }, aggregation: "token-mean" } as const;
    const credit = { ...CREDIT, credit: "rewarded", threshold: 2 } as const;
    const chosen = groups.map((group) => ({
      ...group,
      trajectories: group.trajectories.filter(({ outcome }) => outcome >= 2),
    }));
    const filtered = await train(groups, { objective: supervised }, credit);
    const alone = await train(chosen, { objective: supervised }, credit);
    expect(filtered.samples).toBe(2 * chosen.flatMap(({ trajectories }) => trajectories).length);
    expect(filtered.samples).toBeGreaterThan(0);
    expect(filtered.samples).toBeLessThan(48);
    expect(difference(filtered.training.weights, alone.training.weights)).toBe(0);
  });

  it("takes demonstrations into a task's group", async () => {
    const encode = (messages: readonly Message[], text: string) => ({
      promptIds: TOKENIZER.encodePrompt(messages, []),
      ids: [...TOKENIZER.encode(text), TOKENIZER.endId],
    });
    const also = async (task: RolloutTask) => [
      { ...(await rollOut(task, `${task.id}/shown`, actAs(["7", "8"], encode))), demonstration: true },
    ];
    const { groups } = await collect({ also });
    const objective = {
      loss: { name: "rl-plus", explorationGamma: 0.5, uniformProbability: 1 },
      aggregation: "token-mean",
    } as const;
    const { training } = await train(groups, { objective, epochs: 8 });
    const shown = { ...encode([{ role: "user", content: "0" }], "7"), temperature: 1 };
    const logProb = async (weights: PolicyWeights) =>
      (await responseLogProbs(uploadWeights(weights), FILES.config, [shown]))[0]!.reduce((sum, x) => sum + x, 0);
    expect(await logProb(training.weights)).toBeGreaterThan((await logProb(WEIGHTS)) + 0.3);
    await expect(rollOut(digits("t"), "x", actAs(["7"], encode))).rejects.toThrow(/1 steps did not end its task/);
  });

  it("by preference pairs the best with the worst of each group", async () => {
    const { groups } = await collect();
    const pairs = preferencePairs(groups);
    expect(new Set(pairs.map(({ pair }) => pair!.id)).size).toBe(3);
    const of = new Map(groups.flatMap(({ trajectories }) => trajectories.map(({ id, outcome }) => [id, outcome])));
    for (const { task, trajectories } of groups) {
      const outcomes = trajectories.map(({ outcome }) => outcome);
      for (const { of: ref, pair } of pairs.filter(({ pair }) => pair!.id === task))
        expect(of.get(ref.episodeId)).toBe(pair!.chosen ? Math.max(...outcomes) : Math.min(...outcomes));
    }
    const objective = { loss: { name: "dpo", beta: 0.5 }, aggregation: "token-mean" } as const;
    const { training, metrics } = await train(groups, { objective, epochs: 1 });
    expect(metrics.loss).toBeCloseTo(Math.log(2), 5); // the policy is its own reference yet
    const again = await train(groups, { objective, epochs: 8 });
    expect(again.metrics.loss!).toBeLessThan(Math.log(2) - 0.05);
    expect(difference(training.weights, WEIGHTS)).toBeGreaterThan(1e-3);
  });
});
