import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { expect, it } from "vitest";
import type { PolicyWeights } from "../types.js";
import { sharedRequest, sharedWeights } from "./shared-weights.js";

const weights = (): PolicyWeights => new Map([["w", { shape: [2], data: Float32Array.of(1, 2) }]]);

it("hands weights from thread to thread without copying them", () => {
  const { port1, port2 } = new MessageChannel();
  const sent = sharedWeights(weights());
  port1.postMessage(sent);
  const received = receiveMessageOnPort(port2)!.message as PolicyWeights;
  expect(received).toEqual(weights());
  // What is one memory shows on both sides.
  sent.get("w")!.data[0] = 7;
  expect(received.get("w")!.data[0]).toBe(7);
  port1.close();
});

it("copies weights once, and what is shared already never", () => {
  const own = weights();
  const first = sharedWeights(own);
  expect(sharedWeights(own)).toBe(first);
  expect(sharedWeights(first)).toBe(first);
  const request = { weights: own, reference: own, samples: [], options: {} as never };
  expect(sharedRequest(request)).toEqual({ ...request, weights: first, reference: first });
  expect(own.get("w")!.data.buffer).toBeInstanceOf(ArrayBuffer);
});
