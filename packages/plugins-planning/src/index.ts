export { type Episode, type MctsOptions, type MctsResult, mcts } from "./mcts.js";
export { createMctsPlanner, type MctsPlannerOptions, mctsPlanner, type PlanningDomain } from "./mcts-planner.js";
export { numberGame } from "./number-game/number-game.js";
export type { Side } from "./search-tree.js";
export { UCB1_EXPLORATION, ucb1 } from "./ucb1.js";
