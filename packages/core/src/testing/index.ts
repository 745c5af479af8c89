export * from "./collect-events.js";
export * from "./manual-clock.js";
export * from "./scripted-model.js";
