import type { Clock, EventLog, Guidance, Plugin } from "@afterstate/core";
import type { CorrectionAttribution } from "../types.js";
import type { SkillEvolver } from "./evolve-skills.js";
import type { EvolutionRule } from "./failing-batch.js";
import type { TextState } from "./learned-text-state.js";

/** What learned text is made with. */
export interface LearnedTextOptions {
  /** The log that the agent writes. */
  readonly log: EventLog;
  /** How many users must ask for the same before others see it. Default 3. */
  readonly shareAfter?: number;
  /** Evolves skills from failures. Without it there are none. */
  readonly skills?: { readonly evolver: SkillEvolver } & Partial<EvolutionRule>;
  /** Decides who sees candidates. Default 0. */
  readonly seed?: number;
  readonly clock?: Clock;
}

/** A plugin that learns in words what users want, and says it to the model. */
export interface LearnedTextPlugin extends Plugin, Guidance, CorrectionAttribution {
  /** Resolves once everything that has happened so far is taken in. */
  settled(): Promise<void>;
  /** Everything that was learned, as of now. */
  readonly state: TextState;
  /**
   * Forgets a user: what is left is what the log would have taught without them, in later processes, too. With an online learner call that
   * one's `unlearn`, which this one heeds.
   */
  unlearn(userId: string): Promise<void>;
  /** What is in force, one text a line. */
  report(): string;
}
