import { describe, expect, it } from "vitest";
import { ARCHITECTURES, drawnWeights } from "../testing/engine-cases.js";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import { createDecoder } from "./decoder.js";
import { openMachine } from "./machine.js";
import { placeFrozen } from "./weights.js";

describe("a decoder", () => {
  it("gives the same scores for a prompt at once, in parts and token by token, alone and beside others", () => {
    for (const config of Object.values(ARCHITECTURES)) {
      const machine = openMachine({ threads: 1 });
      const { learned, frozen } = drawnWeights(config, 5);
      const decoder = createDecoder(
        machine,
        config,
        placeFrozen(machine, new Map([...(frozen ?? []), ...learned])).placed,
      );
      const ids = [1, 5, 9, 2, 2, 7, 3];
      const open = () => decoder.openSlot(10);
      const whole = [...decoder.decode([{ slot: open(), ids }])];
      const [parts, single, other] = [open(), open(), open()];
      decoder.decode([{ slot: other, ids: [4] }]);
      decoder.decode([
        { slot: parts, ids: ids.slice(0, 4) },
        { slot: other, ids: [8, 8] },
      ]);
      const inParts = [
        ...decoder.decode([
          { slot: other, ids: [6] },
          { slot: parts, ids: ids.slice(4) },
        ]),
      ].slice(config.vocab_size);
      const oneByOne = ids.map((id) => [...decoder.decode([{ slot: single, ids: [id] }])]).at(-1)!;
      whole.forEach((score, id) => {
        expect(inParts[id]).toBeCloseTo(score, 4);
        expect(oneByOne[id]).toBeCloseTo(score, 4);
      });
    }
  });

  it("gives the same scores for a prompt that is longer than a block of queries", () => {
    const machine = openMachine({ threads: 2 });
    const config = { ...TINY_CONFIG, head_dim: 32 };
    const { learned } = drawnWeights(config, 5);
    const decoder = createDecoder(machine, config, placeFrozen(machine, learned).placed);
    const ids = Array.from({ length: 300 }, (_, t) => (t * t) % 11);
    const [whole, single] = [decoder.openSlot(300), decoder.openSlot(300)];
    const scores = [...decoder.decode([{ slot: whole, ids }])];
    const oneByOne = ids.map((id) => [...decoder.decode([{ slot: single, ids: [id] }])]).at(-1)!;
    scores.forEach((score, id) => expect(oneByOne[id]).toBeCloseTo(score, 4));
  });

  it("gives a slot the same bits whatever is fed beside it, on one thread or two, token by token or each of several", () => {
    const wide = {
      ...TINY_CONFIG,
      vocab_size: 307,
      hidden_size: 96,
      intermediate_size: 200,
      max_position_embeddings: 400,
    };
    for (const [config, threads] of [...Object.values(ARCHITECTURES), wide].flatMap((one) =>
      [1, 2].map((threads) => [one, threads] as const),
    )) {
      const machine = openMachine({ threads });
      const { learned, frozen } = drawnWeights(config, 5);
      const weights = placeFrozen(machine, new Map([...(frozen ?? []), ...learned])).placed;
      const decoder = createDecoder(machine, config, weights);
      const open = () => decoder.openSlot(24);
      const prompt = [1, 5, 9, 2, 2, 7, 3];
      const written = [4, 8, 1, 6];
      const alone = open();
      const expected = [
        [...decoder.decode([{ slot: alone, ids: prompt }])],
        ...written.map((id) => [...decoder.decode([{ slot: alone, ids: [id] }])]),
      ];

      const [among, drafted, ...others] = Array.from({ length: 19 }, open);
      const row = (scores: Float32Array, index: number) =>
        [...scores].slice(index * config.vocab_size, (index + 1) * config.vocab_size);
      const promptBeside = decoder.decode([
        ...others.map((slot, i) => ({ slot, ids: prompt.slice(0, 1 + (i % 6)) })),
        { slot: among!, ids: prompt },
        { slot: drafted!, ids: prompt },
      ]);
      expect(row(promptBeside, others.length)).toEqual(expected[0]);
      written.forEach((id, t) => {
        const beside = others.slice(0, 4 * t + 1).map((slot, i) => ({ slot, ids: [(i + t) % 11] }));
        const scores = decoder.decode([...beside, { slot: among!, ids: [id] }]);
        expect(row(scores, beside.length)).toEqual(expected[t + 1]);
      });

      decoder.decode([{ slot: drafted!, ids: [10, 10], each: true }]);
      drafted!.rollBack(prompt.length);
      const each = decoder.decode([
        { slot: drafted!, ids: written, each: true },
        { slot: others[0]!, ids: [3, 3] },
      ]);
      written.forEach((_, t) => expect(row(each, t)).toEqual(expected[t + 1]));
      machine.dispose();
    }
  });

  it("refuses more tokens than a slot has room for", () => {
    const machine = openMachine({ threads: 1 });
    const decoder = createDecoder(
      machine,
      TINY_CONFIG,
      placeFrozen(machine, drawnWeights(TINY_CONFIG, 1).learned).placed,
    );
    const slot = decoder.openSlot(3);
    decoder.decode([{ slot, ids: [1, 2] }]);
    expect(() => decoder.decode([{ slot, ids: [3, 4] }])).toThrow("a slot for 3 tokens holds 2 and was given 2 more");
  });
});
