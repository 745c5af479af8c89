import { AgentError, createRandom } from "@afterstate/core";
import { describe, expect, it } from "vitest";
import type { PolicyWeights } from "../types.js";
import { decodeSafetensors, encodeSafetensors } from "./safetensors.js";

const weights: PolicyWeights = new Map([
  ["model.norm.weight", { shape: [3], data: Float32Array.of(1, -2.5, 3e-20) }],
  ["lm_head.weight", { shape: [2, 2], data: Float32Array.of(0, Number.NaN, Number.POSITIVE_INFINITY, -0) }],
  ["empty", { shape: [0, 4], data: new Float32Array(0) }],
  ["scalar", { shape: [], data: Float32Array.of(7) }],
]);

function file(header: unknown, data: Uint8Array): Uint8Array {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

describe("safetensors", () => {
  it("reads back what it wrote, bit for bit and in order", () => {
    const read = decodeSafetensors(encodeSafetensors(weights, { format: "pt" }), "a");
    expect([...read.weights.keys()].sort()).toEqual([...weights.keys()].sort());
    for (const [name, { shape, data }] of weights) {
      expect(read.weights.get(name)!.shape).toEqual(shape);
      expect(new Uint8Array(read.weights.get(name)!.data.buffer)).toEqual(new Uint8Array(data.buffer));
    }
    expect(read.metadata).toEqual({ format: "pt" });
  });

  it("writes a header whose length is a multiple of 8 and reads it at any byte offset", () => {
    const bytes = encodeSafetensors(weights);
    expect(new DataView(bytes.buffer).getUint32(0, true) % 8).toBe(0);
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(decodeSafetensors(shifted.subarray(3), "a").weights.get("scalar")!.data[0]).toBe(7);
    // Buffer's own slice() copies nothing
    expect(decodeSafetensors(Buffer.from(bytes), "a").weights.get("scalar")!.data).toEqual(Float32Array.of(7));
  });

  it("widens F16 and BF16", () => {
    // 0x3c00 = 1, 0xc000 = −2, 0x0001 = 2^−24, 0x7c00 = ∞; bf16 0x3fc0 = 1.5
    const data = new Uint8Array(Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7c00, 0x3fc0).buffer);
    const read = decodeSafetensors(
      file(
        {
          a: { dtype: "F16", shape: [4], data_offsets: [0, 8] },
          b: { dtype: "BF16", shape: [1], data_offsets: [8, 10] },
        },
        data,
      ),
      "a",
    );
    expect([...read.weights.get("a")!.data]).toEqual([1, -2, 2 ** -24, Number.POSITIVE_INFINITY]);
    expect([...read.weights.get("b")!.data]).toEqual([1.5]);
  });

  it.each([
    ["length prefix", new Uint8Array(5)],
    ["a header in JSON", file("{", new Uint8Array(0))],
    ["a JSON object as header", file("[]", new Uint8Array(0))],
    ["a type among F32, F16, BF16", file({ a: { dtype: "I64", shape: [1], data_offsets: [0, 8] } }, new Uint8Array(8))],
    [
      "a type among F32, F16, BF16",
      file({ a: { dtype: "constructor", shape: [], data_offsets: [0, 8] } }, new Uint8Array(8)),
    ],
    ["a shape of whole numbers", file({ a: { dtype: "F32", shape: [-1], data_offsets: [0, 4] } }, new Uint8Array(4))],
    ["two data_offsets", file({ a: { dtype: "F32", shape: [1], data_offsets: [0] } }, new Uint8Array(4))],
    [
      "8 bytes of F32 for shape [2], found 4 bytes",
      file({ a: { dtype: "F32", shape: [2], data_offsets: [0, 4] } }, new Uint8Array(4)),
    ],
    ["found data from byte", file({ a: { dtype: "F32", shape: [1], data_offsets: [4, 8] } }, new Uint8Array(8))],
    ["as its header describes", file({ a: { dtype: "F32", shape: [1], data_offsets: [0, 4] } }, new Uint8Array(9))],
    ["metadata", file({ __metadata__: { a: 1 } }, new Uint8Array(0))],
  ])("refuses a file, expecting %s and naming the file", (fact, bytes) => {
    expect(() => decodeSafetensors(bytes, "policies/v1/model.safetensors")).toThrow(fact);
    expect(() => decodeSafetensors(bytes, "policies/v1/model.safetensors")).toThrow("policies/v1/model.safetensors");
  });

  it("refuses every truncation", () => {
    const bytes = encodeSafetensors(weights, { format: "pt" });
    for (let length = 0; length < bytes.length; length++)
      expect(() => decodeSafetensors(bytes.subarray(0, length), "a")).toThrow(AgentError);
  });

  it("reads or refuses any damaged header, never anything else", () => {
    const random = createRandom(1);
    const whole = encodeSafetensors(weights, { format: "pt" });
    const headerEnd = 8 + new DataView(whole.buffer).getUint32(0, true);
    let refused = 0;
    for (let trial = 0; trial < 3000; trial++) {
      const bytes = whole.slice();
      for (let flips = 1 + random.integer(4); flips > 0; flips--)
        bytes[random.integer(headerEnd)] = random.integer(256);
      try {
        decodeSafetensors(bytes, "a");
      } catch (error) {
        expect((error as AgentError).code).toMatch(/^checkpoint\/(corrupt|unsupported)$/);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(1500);
  });
});
