import { createRandom } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import { DRIFT_LIMITS, NO_DRIFT, type UpdatePoint, watchDrift } from "./drift-watch.js";

const COUNTS = { replies: 20, reasks: 2, compared: 20, conflicts: 2 };

/** Alarms over updates, by the number of the update that each came with. */
function alarmsOf(points: readonly Partial<UpdatePoint>[]): string[] {
  let state = NO_DRIFT;
  return points.flatMap((point, index) => {
    const watched = watchDrift(state, { ...COUNTS, ...point }, DRIFT_LIMITS);
    state = watched.state;
    return watched.alarms.map(({ name }) => `${index} ${name}`);
  });
}

/** Twelve updates: a number goes from one value to another half-way, with a little noise. */
const shift = (seed: number, from: number, to: number) => {
  const random = createRandom(seed);
  return Array.from({ length: 12 }, (_, i) => (i < 6 ? from : to) + 0.04 * (random.next() - 0.5));
};
const updates = (columns: Partial<Record<keyof UpdatePoint, readonly number[]>>): Partial<UpdatePoint>[] =>
  Array.from({ length: 12 }, (_, i) =>
    Object.fromEntries(Object.entries(columns).map(([key, values]) => [key, values![i]!])),
  );
const names = (alarms: readonly string[]) => [...new Set(alarms.map((alarm) => alarm.split(" ")[1]))];

describe("the watch over updates", () => {
  it("tells of a policy whose entropy is under a twentieth of the first, twice in a row, once", () => {
    const sinking = [1, 0.8, 0.5, 0.04, 0.3, 0.04, 0.03, 0.02, 0.01].map((entropy) => ({ entropy }));
    expect(alarmsOf(sinking)).toEqual(["6 entropy-collapse"]);
  });

  it("leaves a policy alone that gets surer and stays above it", () => {
    expect(alarmsOf([1, 0.7, 0.4, 0.2, 0.1, 0.06, 0.06].map((entropy) => ({ entropy })))).toEqual([]);
  });

  it("tells of a policy that has gone too far from where it began, and again only after it came back", () => {
    const far = [0.5, 0.8, 1.1, 1.2, 0.9, 1.1].map((kl) => ({ kl }));
    expect(alarmsOf(far)).toEqual(["2 kl-drift", "5 kl-drift"]);
    expect(alarmsOf([0.5, 0.7, 0.9, 0.99].map((kl) => ({ kl })))).toEqual([]);
  });

  it("tells of reward that rises while held-out scores fall, and not of both rising", () => {
    const reward = shift(1, 0.2, 0.6);
    expect(names(alarmsOf(updates({ reward, heldOut: shift(2, 0.8, 0.6) })))).toEqual(["reward-hacking"]);
    expect(alarmsOf(updates({ reward, heldOut: shift(2, 0.6, 0.8) }))).toEqual([]);
    expect(alarmsOf(updates({ reward: shift(1, 0.6, 0.2), heldOut: shift(2, 0.8, 0.6) }))).toEqual([]);
  });

  it("tells of reward that rises while users ask again more often", () => {
    const reward = shift(1, 0.2, 0.6);
    const more = updates({ reward }).map((point, i) => ({ ...point, reasks: i < 6 ? 2 : 9 }));
    expect(names(alarmsOf(more))).toEqual(["reward-hacking"]);
    const fewer = more.map((point) => ({ ...point, reasks: 2 }));
    expect(alarmsOf(fewer)).toEqual([]);
  });

  it("tells of answers that get longer with rising reward, unless held-out scores rise with them", () => {
    const reward = shift(1, 0.2, 0.6);
    const words = shift(3, 10, 25);
    expect(names(alarmsOf(updates({ reward, words })))).toEqual(["length-drift"]);
    expect(alarmsOf(updates({ reward, words, heldOut: shift(2, 0.5, 0.8) }))).toEqual([]);
    expect(alarmsOf(updates({ reward, words: shift(3, 10, 15) }))).toEqual([]);
    expect(alarmsOf(updates({ reward: shift(1, 0.4, 0.4), words }))).toEqual([]);
  });

  it("tells of answers that repeat themselves with rising reward", () => {
    const reward = shift(1, 0.2, 0.6);
    expect(names(alarmsOf(updates({ reward, repetition: shift(4, 0.05, 0.3) })))).toEqual(["repetition"]);
    expect(alarmsOf(updates({ reward, repetition: shift(4, 0.05, 0.1) }))).toEqual([]);
  });

  it("tells of judges who differ more and more, and not of such as always did", () => {
    const rising = Array.from({ length: 12 }, (_, i) => ({ conflicts: i < 6 ? 1 : 8 }));
    expect(names(alarmsOf(rising))).toEqual(["judge-disagreement"]);
    expect(alarmsOf(rising.map(() => ({ conflicts: 8 })))).toEqual([]);
  });

  it("compares nothing before there are enough updates, and forgets the oldest", () => {
    expect(alarmsOf(updates({ reward: shift(1, 0.2, 0.9), words: shift(3, 10, 90) }).slice(3, 9))).toEqual([]);
    let state = NO_DRIFT;
    for (let i = 0; i < 100; i++) state = watchDrift(state, COUNTS, DRIFT_LIMITS).state;
    expect(state.updates.length).toBe(24);
  });
});
