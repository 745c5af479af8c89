export * from "./chain.js";
export * from "./chain-policy.js";
export * from "./demonstrations.js";
export * from "./tool-chain.js";
