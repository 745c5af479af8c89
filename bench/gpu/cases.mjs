// What bench/gpu/measure.mjs measures: shapes of models, and cases of training and decoding over them.

import { SMALL, SMOLLM2_LORA } from "../drawn-models.mjs";

/** Architectures. Their weights are drawn where they are measured. */
export const SHAPES = { "3.3M": { config: SMALL }, "SmolLM2-135M LoRA": { config: SMOLLM2_LORA } };

/** `count` sequences of `tokens` tokens a training step, or `count` responses of `tokens` tokens side by side. */
export const CASES = Object.fromEntries(
  [
    ...[16, 64].map((count) => ({ shape: "3.3M", kind: "training", count, tokens: 128 })),
    ...[1, 4, 16].map((count) => ({ shape: "SmolLM2-135M LoRA", kind: "training", count, tokens: 512 })),
    ...[1, 16].map((count) => ({ shape: "3.3M", kind: "decoding", count, tokens: 64 })),
    ...[1, 16, 64].map((count) => ({ shape: "SmolLM2-135M LoRA", kind: "decoding", count, tokens: 64 })),
  ].map((one) => [`${one.shape}, ${one.kind}, ${one.count} × ${one.tokens}`, one]),
);
