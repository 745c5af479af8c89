import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AgentError } from "@afterstate/core";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openTokenizer } from "../policy/tokenizer.js";
import { readGgufHeader } from "./gguf-header.js";
import { readPolicyFolder, writePolicyFolder } from "./policy-folder.js";
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
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(["config.json", "tokenizer_config.json", "generation_config.json"])(
    "with another value in %s is read or refused by name",
    (name) => {
      const keys = Object.keys(original(name));
      fc.assert(
        fc.property(
          fc.constantFrom(...keys, "rope_scaling", "rope_parameters", "head_dim"),
          fc.jsonValue(),
          (key, value) => {
            writeFileSync(path(name), JSON.stringify({ ...original(name), [key]: value }));
            refuses(folder, () => readPolicyFolder(folder));
          },
        ),
        { numRuns: 300 },
      );
      writeFileSync(path(name), whole.get(name)!);
    },
  );

  it("with another value in tokenizer.json is opened or refused", () => {
    const keys = ["model", "added_tokens", "pre_tokenizer", "normalizer", "decoder", "post_processor"];
    fc.assert(
      fc.property(fc.constantFrom(...keys), fc.jsonValue(), (key, value) => {
        writeFileSync(path("tokenizer.json"), JSON.stringify({ ...original("tokenizer.json"), [key]: value }));
        let files: ReturnType<typeof readPolicyFolder> | undefined;
        refuses(folder, () => {
          files = readPolicyFolder(folder);
        });
        if (files === undefined) return;
        try {
          openTokenizer(files);
        } catch (error) {
          expect((error as AgentError).code).toMatch(/^checkpoint\/(corrupt|mismatch)$/);
        }
      }),
      { numRuns: 300 },
    );
    writeFileSync(path("tokenizer.json"), whole.get("tokenizer.json")!);
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
