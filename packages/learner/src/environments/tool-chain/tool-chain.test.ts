import { createRandom } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import { openTokenizer } from "../../policy/tokenizer.js";
import {
  type Chain,
  calculate,
  callAt,
  chainValue,
  drawChain,
  isRightAt,
  type Operator,
  reduceAt,
  writeChain,
} from "./chain.js";
import { chainPolicyFiles } from "./chain-policy.js";
import { demonstrate } from "./demonstrations.js";
import { readAction, toolChainTask } from "./tool-chain.js";

const read = (text: string): Chain => ({
  numbers: text.split(/[-+*]/).map(Number),
  operators: [...text.replaceAll(/\d/g, "")] as Operator[],
});
const play = async (chain: string, actions: readonly string[]) => {
  const episode = toolChainTask(read(chain)).open();
  const seen = [episode.observation.anchor];
  const transitions = [];
  for (const action of actions) {
    const next = await episode.step(action);
    transitions.push(next);
    seen.push(next.observation.anchor);
  }
  return { seen, verdicts: transitions.map(({ verdict }) => verdict), last: transitions.at(-1)!, transitions };
};

describe("a tool chain", () => {
  it("is done by one call for each operation, products first, and an answer", async () => {
    const { seen, verdicts, last, transitions } = await play("12+5*3-4", ["s*5*3", "s+12+15", "k+27-4", "s=23"]);
    expect(seen).toEqual(["?12+5*3-4", "*12+15-4", "+27-4", "+23", "=23"]);
    expect(verdicts).toEqual([1, 1, 1, 1]);
    expect([last.reward, last.terminated, last.kind]).toEqual([1, true, "answer"]);
    expect(transitions.slice(0, 3).map(({ reward, kind, terminated }) => [reward, kind, terminated])).toEqual(
      Array.from({ length: 3 }, () => [0, "tool", false]),
    );
    expect(transitions.map(({ hierarchy }) => hierarchy!.switched)).toEqual([true, true, false, true]);
  });

  it("goes on after a call out of turn, and is wrong at its end", async () => {
    const { seen, verdicts, last } = await play("12+5*3-4", ["s+12+5", "s*17*3", "s+51-4", "s=47"]);
    expect(seen.at(-2)).toBe("+47");
    expect(verdicts).toEqual([0, 1, 1, 1]); // each later step is right by what it saw
    expect(last.reward).toBe(0);
  });

  it("has no steps to spare for calls that do not stand in it, or that nobody can read", async () => {
    for (const wasted of ["s*5*4", "s+3-12", "hello", "s=", "k=12+5"]) {
      const { seen, verdicts, last } = await play("12+5*3", [wasted, "s*5*3", "s+12+15"]);
      expect(seen[1]!.slice(1)).toBe("12+5*3");
      expect(verdicts[0]).toBe(0);
      expect([last.truncated, last.terminated, last.reward]).toEqual([true, false, 0]);
    }
    const early = await play("12+5*3", ["s=27"]);
    expect([early.last.reward, early.verdicts[0], early.last.terminated]).toEqual([1, 0, true]); // in the head, and right
    expect((await play("12+5*3", ["s=12"])).last.reward).toBe(0);
  });

  it("is drawn with all its intermediate results from 0 to 99, and never both held out and trained on", () => {
    const random = createRandom(3);
    const drawn = [false, true].map((heldOut) => {
      const tasks = new Set<string>();
      for (const length of [1, 2, 4, 8])
        for (let i = 0; i < 200; i++) {
          let chain = drawChain(length, heldOut, random);
          tasks.add(writeChain(chain));
          expect(chain.operators.length).toBe(length);
          // An oracle of its own: JavaScript's order of operations.
          expect(chainValue(chain)).toBe(new Function(`return ${writeChain(chain)}`)());
          while (chain.operators.length > 0) {
            const at = Math.max(0, chain.operators.indexOf("*"));
            expect(isRightAt(chain, at)).toBe(true);
            const result = calculate(callAt(chain, at))!;
            expect(result).toBeGreaterThanOrEqual(0);
            expect(result).toBeLessThanOrEqual(99);
            chain = reduceAt(chain, at, result);
          }
        }
      return tasks;
    });
    for (const task of drawn[1]!) expect(drawn[0]!.has(task)).toBe(false);
    expect(drawn[0]!.size).toBeGreaterThan(700);
  });

  it("is shown rightly as often as asked for, and what is shown can be said and read back", async () => {
    const random = createRandom(4);
    const tokenizer = openTokenizer(chainPolicyFiles());
    for (const right of [0, 0.5, 1]) {
      let [good, calls] = [0, 0];
      for (let i = 0; i < 300; i++) {
        const chain = drawChain(1 + (i % 8), false, random);
        for (const { observation, action } of demonstrate(chain, right, random)) {
          expect(readAction(action)).toBeDefined();
          expect(tokenizer.decode(tokenizer.encode(action))).toBe(action);
          expect(tokenizer.encode(observation).length).toBe(observation.length);
          if (/^[?*+=]\d+$/.test(observation)) continue;
          calls++;
          const task = toolChainTask(read(observation.slice(1)));
          good += (await task.open().step(action)).verdict!;
        }
      }
      // A mistake may happen to leave the value as it is: a + b + c computed from its end.
      expect(good / calls).toBeGreaterThan(right - 0.05);
      expect(good / calls).toBeLessThan(right + 0.13);
    }
    const policy = demonstrate(read("12+5*3-4"), 1, random);
    expect(
      (
        await play(
          "12+5*3-4",
          policy.map(({ action }) => action),
        )
      ).last.reward,
    ).toBe(1);
  });
});
