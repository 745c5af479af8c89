import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AgentError } from "@afterstate/core";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createDecoder } from "../engine/decoder.js";
import { type Machine, openMachine } from "../engine/machine.js";
import { placeFrozen } from "../engine/weights.js";
import { openTokenizer } from "../policy/tokenizer.js";
import { readGgufHeader } from "./gguf-header.js";
import { type PolicyFiles, readPolicyFolder, writePolicyFolder } from "./policy-folder.js";
import { readGguf, readGgufPolicy } from "./read-gguf.js";
import { bytesAsFile, type SourceFile } from "./source-file.js";

const fixture = (name: string) => fileURLToPath(new URL(`data/${name}`, import.meta.url));
const GGUF = readFileSync(fixture("tiny-qwen3.gguf"));
const HEADER_BYTES = Math.min(
  ...[...readGgufHeader(bytesAsFile(GGUF, "x.gguf")).tensors.values()].map(({ offset }) => offset),
);

/** One change of a file. */
const change = (headerBytes: number, size: number) =>
  fc.oneof(
    fc.record({ kind: fc.constant("flip" as const), at: fc.nat(headerBytes - 1), value: fc.nat(255) }),
    fc.record({
      kind: fc.constant("size" as const),
      at: fc.nat(headerBytes - 9),
      value: fc.constantFrom(0n, 1n, 2n ** 16n, 2n ** 31n, 2n ** 40n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n),
    }),
    fc.record({ kind: fc.constant("cut" as const), at: fc.nat(size - 1), value: fc.constant(0) }),
    fc.record({ kind: fc.constant("append" as const), at: fc.constant(0), value: fc.integer({ min: 1, max: 4000 }) }),
    fc.record({
      kind: fc.constant("drop" as const),
      at: fc.nat(headerBytes - 1),
      value: fc.integer({ min: 1, max: 64 }),
    }),
  );
type Change = ReturnType<typeof change> extends fc.Arbitrary<infer T> ? T : never;

function applied(bytes: Uint8Array, changes: readonly Change[]): Uint8Array {
  let result = new Uint8Array(bytes);
  for (const { kind, at, value } of changes) {
    if (at >= result.length) continue;
    if (kind === "flip") result[at] = value;
    else if (kind === "size") {
      if (at + 8 <= result.length) new DataView(result.buffer).setBigUint64(at, value, true);
    } else if (kind === "cut") result = result.slice(0, at);
    else if (kind === "append") result = new Uint8Array(Buffer.concat([result, new Uint8Array(value)]));
    else result = new Uint8Array(Buffer.concat([result.subarray(0, at), result.subarray(at + value)]));
  }
  return result;
}

/** Runs `read`; whatever it throws must be a refusal that names the file. @returns whether it refused. */
function refuses(name: string, read: () => unknown): boolean {
  try {
    read();
    return false;
  } catch (error) {
    if (!AgentError.isInstance(error)) throw error;
    expect(error.code).toMatch(/^checkpoint\/(corrupt|mismatch|unsupported|missing)$/);
    expect(error.message).toContain(name);
    expect(error).toMatchObject({ expected: expect.any(String), found: expect.any(String) });
    return true;
  }
}

/** A file that counts what is asked of it. */
function watched(bytes: Uint8Array): SourceFile & { readonly bytesRead: number } {
  const file = bytesAsFile(bytes, "x.gguf");
  const result = {
    ...file,
    bytesRead: 0,
    read(offset: number, length: number) {
      expect(offset + length).toBeLessThanOrEqual(bytes.length);
      result.bytesRead += length;
      return file.read(offset, length);
    },
  };
  return result;
}

type Place = readonly (string | number)[];

/** Where values stand in JSON: all of a small value, the first and the last of a long list. */
function placesIn(value: unknown, before: Place = []): readonly Place[] {
  if (typeof value !== "object" || value === null) return [before];
  const keys = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  const some = keys.length > 40 ? [...keys.slice(0, 5), ...keys.slice(-5)] : keys;
  const inner = some.flatMap((key) => placesIn((value as Record<string | number, unknown>)[key], [...before, key]));
  return before.length === 0 ? inner : [before, ...inner];
}

/** JSON with another value in a place; `undefined` takes it out. */
function changed(value: unknown, [key, ...rest]: Place, other: unknown): unknown {
  if (key === undefined) return other;
  const inner = changed((value as Record<string | number, unknown> | undefined)?.[key], rest, other);
  return Array.isArray(value) ? value.with(Number(key), inner) : { ...(value as object), [key]: inner };
}

const otherValue = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom(undefined, null, -1, 0, 1, 2, 3, 2 ** 31, 1e308, 1e-308, "", "x", [], {}, true, [[]], [null]),
);

/** Scores of the CPU engine after a few tokens. */
function scoresOf(machine: Machine, { config, weights }: PolicyFiles): Float32Array {
  const block = placeFrozen(machine, weights);
  const decoder = createDecoder(machine, config, block.placed);
  const slot = decoder.openSlot(4);
  try {
    return decoder.decode([{ slot, ids: [5, 6, 7] }]).slice();
  } finally {
    slot.free();
    decoder.free();
    block.free();
  }
}

describe("a damaged GGUF file", () => {
  it("is read or refused by name, and nothing beyond it is read", () => {
    let refused = 0;
    fc.assert(
      fc.property(fc.array(change(HEADER_BYTES, GGUF.length), { minLength: 1, maxLength: 3 }), (changes) => {
        const file = watched(applied(GGUF, changes));
        if (refuses("x.gguf", () => readGgufPolicy([file]))) refused++;
        expect(file.bytesRead).toBeLessThan(4 * file.size + 1_000_000);
      }),
      { numRuns: 2_000 },
    );
    expect(refused).toBeGreaterThan(1_000);
  });

  it("is refused wherever it is cut off", () => {
    for (let size = 0; size < GGUF.length; size += size < HEADER_BYTES ? 7 : 1_009) {
      expect(refuses("x.gguf", () => readGgufPolicy([bytesAsFile(GGUF.subarray(0, size), "x.gguf")]))).toBe(true);
    }
  });
});

describe("a damaged policy folder", () => {
  let folder = "";
  const machine = openMachine({ threads: 1 });
  const path = (name: string) => join(folder, name);
  const original = (name: string) => JSON.parse(whole.get(name)!.toString()) as Record<string, unknown>;
  const whole = new Map<string, Buffer>();
  const NAMES = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "model.safetensors",
  ];

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "afterstate-fuzz-"));
    writePolicyFolder(folder, readGguf(fixture("tiny-qwen3.gguf")));
    for (const name of NAMES) whole.set(name, readFileSync(path(name)));
  });
  afterAll(() => {
    machine.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(["config.json", "tokenizer_config.json", "generation_config.json"])(
    "with another value in %s is read or refused by name, and computes numbers if it is read",
    (name) => {
      const places = [
        ...placesIn(original(name)),
        ["rope_scaling"],
        ["rope_parameters"],
        ["head_dim"],
        ["layer_types"],
      ];
      let [refused, scored] = [0, 0];
      fc.assert(
        fc.property(fc.constantFrom(...places), otherValue, (place, value) => {
          writeFileSync(path(name), JSON.stringify(changed(original(name), place, value)));
          let files: PolicyFiles | undefined;
          const read = () => {
            files = readPolicyFolder(folder);
          };
          if (refuses(folder, read)) refused++;
          // Deep and long ones are read, too; what they would take is theirs.
          if (files === undefined || files.config.max_position_embeddings < 8) return;
          expect(scoresOf(machine, files).every(Number.isFinite)).toBe(true);
          scored++;
        }),
        { numRuns: 300 },
      );
      writeFileSync(path(name), whole.get(name)!);
      expect([refused > 20, scored > 20]).toEqual([true, true]);
    },
  );

  it("with another value in tokenizer.json is refused, or opened and gives ids of its own", () => {
    const places = placesIn(original("tokenizer.json"));
    let [refused, used] = [0, 0];
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {}); // the library's, of what it does not know
    fc.assert(
      fc.property(fc.constantFrom(...places), otherValue, (place, value) => {
        writeFileSync(path("tokenizer.json"), JSON.stringify(changed(original("tokenizer.json"), place, value)));
        let files: PolicyFiles | undefined;
        const read = () => {
          files = readPolicyFolder(folder);
        };
        if (refuses(folder, read)) refused++;
        if (files === undefined) return;
        try {
          const tokenizer = openTokenizer(files);
          const ids = tokenizer.encodePrompt([{ role: "user", content: "The 12 ducks,\n\tÄ🦆" }], []);
          const { vocab_size: vocab } = files.config;
          expect(ids.filter((id) => !Number.isInteger(id) || id < 0 || id >= vocab)).toEqual([]);
          expect(typeof tokenizer.decode(ids)).toBe("string");
          used++;
        } catch (error) {
          if (!AgentError.isInstance(error)) throw error;
          expect(error.code).toMatch(/^checkpoint\/(corrupt|mismatch)$/);
          refused++;
        }
      }),
      { numRuns: 600 },
    );
    warn.mockRestore();
    writeFileSync(path("tokenizer.json"), whole.get("tokenizer.json")!);
    expect([refused > 50, used > 50]).toEqual([true, true]);
  });

  it("with damaged weights is read or refused by name", () => {
    const bytes = whole.get("model.safetensors")!;
    const headerBytes = 8 + bytes.readUInt32LE(0);
    fc.assert(
      fc.property(fc.array(change(headerBytes, bytes.length), { minLength: 1, maxLength: 3 }), (changes) => {
        writeFileSync(path("model.safetensors"), applied(bytes, changes));
        refuses(folder, () => readPolicyFolder(folder));
      }),
      { numRuns: 300 },
    );
    writeFileSync(path("model.safetensors"), bytes);
  });
});
