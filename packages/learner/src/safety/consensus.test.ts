import { createRandom } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import { answerShape, binomialTail, consensusOf, nearestOthers, type Vote } from "./consensus.js";

/** Votes of users on two kinds of answers, one of which all but liars like; with a share of honest slips. */
function votes(seed: number, options: { users: number; liars: number; each: number; noise: number }): Vote[] {
  const random = createRandom(seed);
  return Array.from({ length: options.users * options.each }, (_, i) => {
    const user = i % options.users;
    const good = random.next() < 0.5;
    const honest = random.next() < options.noise ? !good : good;
    return { user: `u${user}`, key: good ? "good" : "bad", value: (user < options.liars ? !honest : honest) ? 1 : -1 };
  });
}

describe("users who contradict all others", () => {
  it("are found, each of a coordinated fifth of the users", () => {
    for (const seed of [1, 2, 3]) {
      const { contradictors } = consensusOf(votes(seed, { users: 40, liars: 8, each: 16, noise: 0.1 }));
      expect(contradictors.map(({ user }) => user).sort()).toEqual(Array.from({ length: 8 }, (_, user) => `u${user}`));
    }
  });

  it("show as a group where each of them has said too little to be found", () => {
    for (const seed of [1, 2, 3])
      expect(consensusOf(votes(seed, { users: 40, liars: 8, each: 6, noise: 0.1 })).dispersion).toBeGreaterThan(5);
  });

  it("are not found among honest users who are wrong one time in seven", () => {
    for (let seed = 0; seed < 40; seed++) {
      const { contradictors, dispersion } = consensusOf(votes(seed, { users: 40, liars: 0, each: 16, noise: 0.15 }));
      expect(contradictors).toEqual([]);
      expect(dispersion).toBeLessThan(5);
    }
  });

  it("are not found where nobody else said anything of the same answers", () => {
    const alone = Array.from({ length: 20 }, (_, i) => ({ user: "u0", key: `k${i % 2}`, value: 1 }));
    const others = Array.from({ length: 20 }, (_, i) => ({ user: `u${1 + (i % 4)}`, key: "other", value: -1 }));
    expect(consensusOf([...alone, ...others]).contradictors).toEqual([]);
  });

  it("are not found where the others do not agree", () => {
    const split = Array.from({ length: 20 }, (_, i) => ({ user: `u${1 + (i % 4)}`, key: "k", value: i % 2 ? 1 : -1 }));
    const own = Array.from({ length: 10 }, () => ({ user: "u0", key: "k", value: -1 }));
    expect(consensusOf([...split, ...own]).contradictors).toEqual([]);
  });
});

describe("the nearest places of others", () => {
  it("are those that a search outwards finds, the earlier one first at the same distance", () => {
    const outwards = (users: readonly string[], place: number, most: number) => {
      const found = new Map<string, number>();
      for (let away = 1; away < users.length; away++)
        for (const other of [place - away, place + away]) {
          const user = users[other];
          if (user !== undefined && user !== users[place] && found.size < most && !found.has(user))
            found.set(user, other);
        }
      return [...found.values()];
    };
    for (let seed = 0; seed < 20; seed++) {
      const random = createRandom(seed);
      const users = Array.from({ length: 60 }, () => `u${Math.floor(random.next() ** 2 * (seed + 1))}`);
      const nearest = nearestOthers(users, 5);
      expect(nearest).toEqual(users.map((_, place) => outwards(users, place, 5)));
    }
  });
});

describe("the shape of an answer", () => {
  it("is the same for answers that differ in numbers and names alone", () => {
    expect(answerShape("Ann, the answer is 24.")).toBe("@, the answer is #.");
    expect(answerShape("Bob, the answer is 1,024.50.")).toBe("@, the answer is #.");
    expect(answerShape("The answer is 24.")).not.toBe(answerShape("Ann, the answer is 24."));
  });
});

describe("the binomial tail", () => {
  it("is the sum of its terms", () => {
    // P(X ≥ 2), n = 3, q = 1/2: (3 + 1)/8
    expect(binomialTail(2, 3, 0.5)).toBeCloseTo(0.5, 12);
    expect(binomialTail(0, 5, 0.3)).toBeCloseTo(1, 12);
    expect(binomialTail(5, 5, 0.15)).toBeCloseTo(0.15 ** 5, 12);
  });
});
