import { beforeAll, describe, expect, it } from "vitest";
import { openBackend } from "../tensor/backend.js";
import { initialWeights } from "../tensor/transformer.js";
import { PLAIN_UPDATE } from "../testing/plain-update.js";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import type { TrainingSample, UpdateOptions } from "../types.js";
import { openPace, type Pace, sharedPace } from "./pace.js";
import { createTrainer } from "./trainer.js";

beforeAll(async () => {
  await openBackend({ name: "wasm" });
});

const options: UpdateOptions = { ...PLAIN_UPDATE, stepSize: "noise-scale", epochs: 2, klCoefficient: 0.1 };
const weights = initialWeights(TINY_CONFIG, 5);
const samples: readonly TrainingSample[] = [0, 1].map((episode) => ({
  of: { episodeId: `e/${episode}`, stepIndex: 0 },
  policyVersion: "base",
  tokens: { promptIds: [1, 2, 3], ids: [4, 5 + episode], logProbs: [0, 0], mask: [1, 1], temperature: 1 },
  advantages: [1, -1],
}));

/** Updates with a pace that holds at the n-th pass, and is let go by the caller's next turn. @returns weights and passes. */
async function updateHeldAt(n: number) {
  const own = openPace();
  let passes = 0;
  const pace: Pace = {
    hold: own.hold,
    passed() {
      if (passes++ === n) {
        own.hold(true);
        setImmediate(() => setImmediate(() => own.hold(false)));
      }
      return own.passed();
    },
  };
  const trainer = await createTrainer(TINY_CONFIG, undefined, undefined, pace);
  const { weights: made } = await trainer.update({ weights, reference: weights, samples, options });
  await trainer.dispose();
  return { passes, data: [...made.values()].map(({ data }) => [...data]) };
}

describe("an update that is held between two passes", () => {
  it("comes out the same to the bit, wherever it was held", async () => {
    const whole = await updateHeldAt(-1);
    // Two halves are prepared, and pass through each of two epochs.
    expect(whole.passes).toBe(6);
    for (let at = 0; at < whole.passes; at++) expect((await updateHeldAt(at)).data).toEqual(whole.data);
  });

  it("does not go on until it is let go", async () => {
    const pace = openPace();
    pace.hold(true);
    let passed = false;
    const passing = pace.passed().then(() => {
      passed = true;
    });
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(passed).toBe(false);
    pace.hold(false);
    await passing;
    expect(passed).toBe(true);
  });

  it("sleeps on another thread by a flag that both see", async () => {
    const flag = new Int32Array(new SharedArrayBuffer(4));
    const pace = sharedPace(flag);
    await pace.passed();
    pace.hold(true);
    expect(flag[0]).toBe(1);
    pace.hold(false);
    await pace.passed();
    expect(flag[0]).toBe(0);
  });
});
