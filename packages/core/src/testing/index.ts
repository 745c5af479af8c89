export * from "./collect-events.js";
export * from "./event-log-contract.js";
export * from "./manual-clock.js";
export * from "./scripted-model.js";
export * from "./test-api.js";
