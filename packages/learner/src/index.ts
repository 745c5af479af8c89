export * from "./types.js";
export * from "./policy/safetensors.js";
export * from "./signals/model-hint-reader.js";
export * from "./signals/prm-judge.js";
export * from "./signals/read-signals.js";
export * from "./signals/rule-hint-reader.js";
export * from "./signals/rule-judge.js";
