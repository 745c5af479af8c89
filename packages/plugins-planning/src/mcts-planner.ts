import { type Environment, PLANNER, type Planner, type Plugin } from "@afterstate/core";
import { mcts } from "./mcts.js";

/** A kind of goal that can be planned for, with the world in which to plan. `A` is the action. */
export interface PlanningDomain<A> {
  /** The goal in what the user said, in one spelling, so that `goalOf(goal) === goal`; undefined when there is none. Must be cheap. */
  goalOf(text: string): string | undefined;
  /** A world in which the goal is still to be reached. A return of 1 means reached, 0 not. */
  environment(goal: string): Environment<unknown, A>;
  /** One action in a few words. */
  nameOf(action: A): string;
  /** The text of a plan, or undefined when the actions do not reach the goal. */
  describe(actions: readonly A[], goal: string): string | undefined;
}

/** Which goals are planned for, and how long. */
export interface MctsPlannerOptions {
  readonly domains: readonly PlanningDomain<unknown>[];
  /** At most so many for a plan. */
  readonly simulations?: number;
}

const DEFAULT_SIMULATIONS = 5_000;

/** A plugin that provides PLANNER: Monte-Carlo tree search in the domain that recognises the user's goal. */
export function mctsPlanner(options: MctsPlannerOptions): Plugin {
  return {
    name: "mcts-planner",
    provides: [PLANNER],
    setup: (context) => context.provide(PLANNER, createMctsPlanner(options)),
  };
}

/** The planner of the plugin by itself. */
export function createMctsPlanner({ domains, simulations = DEFAULT_SIMULATIONS }: MctsPlannerOptions): Planner {
  return {
    goalOf(observation) {
      const said = observation.messages.findLast((message) => message.role === "user")?.content;
      if (said === undefined) return undefined;
      for (const domain of domains) {
        const goal = domain.goalOf(said);
        if (goal !== undefined) return goal;
      }
      return undefined;
    },
    async plan({ goal, seed, onExpand, signal }) {
      const domain = domains.find((candidate) => candidate.goalOf(goal) === goal);
      if (domain === undefined) return undefined;
      const found = await mcts({
        environment: domain.environment(goal),
        simulations,
        seed,
        returnRange: [0, 1],
        signal,
        onExpand: ({ path, visits, value }) =>
          onExpand({ path: path.map((action) => domain.nameOf(action)), visits, value }),
      });
      const episode = found.bestEpisode;
      const text = episode && domain.describe(episode.actions, goal);
      if (text === undefined) return undefined;
      const steps = episode!.actions.map((action) => domain.nameOf(action));
      return { goal, steps, text, value: episode!.return, simulations: found.simulations };
    },
  };
}
