export * from "./conversation.js";
export * from "./names.js";
export * from "./number-game.js";
export * from "./questions.js";
export * from "./style.js";
export * from "./users.js";
