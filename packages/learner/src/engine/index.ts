export * from "./decoder.js";
export * from "./machine.js";
export * from "./scorer.js";
export * from "./supervised-loss.js";
export * from "./trainable.js";
export * from "./weights.js";
