import fc from "fast-check";
import { expect, it } from "vitest";
import { creditEpisodes } from "../testing/credit-episodes.js";
import type { CreditOptions } from "./credited-trajectory.js";
import { scaleByKind, takeInMagnitudes } from "./kind-scale.js";
import { EMPTY_CREDIT } from "./step-credit.js";

it("rewards are in units of their kind's mean magnitude, whether or not they are 0", () => {
  const batch = { kinds: ["tool", "tool", "answer", "tool"], rewards: [4, -2, 0.5, 0] };
  // β = .5: (0 + .5 · 4) = 2 of weight .5, then 1 + 1 = 2 of weight .75: M = 8/3
  const magnitudes = takeInMagnitudes({}, batch, 0.5);
  [1.5, -0.75, 1, 0].forEach((expected, k) => expect(scaleByKind(batch, magnitudes)[k]).toBeCloseTo(expected, 12));
});

it("a kind with rewards a hundred times larger changes no other kind's credit, and not its own either", () => {
  const options: CreditOptions = { credit: "step", gamma: 0.9, lambda: 0.8, decay: 0.9 };
  const steps = fc.array(
    fc.record({
      kind: fc.constantFrom("tool" as const, "answer" as const, "text" as const),
      stateKey: fc.constantFrom("user", "tool"),
      reward: fc.option(
        fc.double({ min: -1, max: 1, noNaN: true }).filter((x) => x === 0 || Math.abs(x) > 1e-6),
        {
          nil: undefined,
        },
      ),
    }),
    { minLength: 1, maxLength: 5 },
  );
  fc.assert(
    fc.property(
      fc.array(fc.array(steps, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 }),
      (batches) => {
        const creditAll = (scale: number) => {
          let state = EMPTY_CREDIT;
          return batches.flatMap((episodes) => {
            const scaled = episodes.map((episode) =>
              episode.map((step) => ({
                ...step,
                reward: step.kind === "tool" ? step.reward && step.reward * scale : step.reward,
              })),
            );
            const credited = creditEpisodes(scaled, state, options);
            state = credited.state;
            return credited.advantages.flat();
          });
        };
        const plain = creditAll(1);
        for (const [k, advantage] of creditAll(100).entries()) expect(advantage).toBeCloseTo(plain[k]!, 9);
      },
    ),
  );
});
