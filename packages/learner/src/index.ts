export * from "./types.js";
export * from "./policy/safetensors.js";
