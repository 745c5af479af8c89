import { expect, it } from "vitest";
import { Arena } from "./arena.js";

it("hands out blocks that do not overlap, and uses freed ones again", () => {
  const arena = new Arena();
  const [a, b, c] = [arena.allocate(100), arena.allocate(50), arena.allocate(70)];
  for (const [address, length, value] of [
    [a, 100, 1],
    [b, 50, 2],
    [c, 70, 3],
  ] as const) {
    arena.view(address, length).fill(value);
  }
  expect([arena.view(a, 100)[99], arena.view(b, 50)[0], arena.view(b, 50)[49], arena.view(c, 70)[0]]).toEqual([
    1, 2, 2, 3,
  ]);
  arena.free(a);
  arena.free(b);
  expect(arena.allocate(150)).toBe(a); // 400 and 200 bytes become 448 and 256 of whole cache lines: 704 in one gap
  expect(arena.view(c, 70)[69]).toBe(3);
  expect(() => arena.free(b)).toThrow("no block starts");
});

it("gives back what a pass took, and grows without losing what it holds", () => {
  const arena = new Arena();
  const block = arena.allocate(4);
  const view = arena.view(block, 4).fill(7);
  const addresses = [0, 1].map(() =>
    arena.pass(() => {
      const first = arena.take(10);
      const inner = arena.scope(() => arena.take(8_000_000));
      expect(arena.take(10)).toBe(inner);
      return first;
    }),
  );
  expect(addresses[1]).toBe(addresses[0]);
  expect([...view]).toEqual([7, 7, 7, 7]);
  expect(arena.memory.buffer.byteLength).toBeLessThan(80e6);
  expect(() => arena.pass(() => arena.allocate(1))).toThrow("while a pass runs");
});

it("says what to do when 4 GB are not enough", () => {
  const arena = new Arena();
  expect(() => arena.allocate(1.1e9)).toThrow(/needs 4\d\d\d MB and WebAssembly holds 4096 MB; take fewer/);
  expect(arena.allocated).toBe(0);
});
