import {
  AgentError,
  type Choice,
  type Clock,
  createRandom,
  DECIDER,
  type Decider,
  type EventLog,
  type EventType,
  type LogRecord,
  mixSeed,
  type Plugin,
} from "@afterstate/core";
import { type LeftOut, LogFollower } from "../online/log-follower.js";
import { describeDecision } from "./decision-report.js";
import { foldOutcomes, TEXT_DECISION } from "./episode-outcomes.js";
import { drawAlternative } from "./inverse-gap.js";
import {
  type BanditRule,
  choiceProbabilities,
  type LearnedDecision,
  newDecision,
  withChoice,
} from "./learned-decision.js";

/** What a bandit is made with. */
export interface BanditDeciderOptions extends Partial<BanditRule> {
  /** The log that the agent writes. */
  readonly log: EventLog;
  /** Default 0. */
  readonly seed?: number;
  readonly clock?: Clock;
}

/** A plugin that makes decisions and learns from what comes of them. */
export interface BanditDecider extends Plugin, Decider {
  /** Resolves once everything that has happened so far is taken in. */
  settled(): Promise<void>;
  /** Forgets what a user's sessions taught, in later processes, too. With an online learner call that one's `unlearn`. */
  unlearn(userId: string): Promise<void>;
  /** What is known, by the decisions' names. */
  readonly known: ReadonlyMap<string, LearnedDecision>;
  /** What is known of each decision, and what other choices would have brought. */
  report(): string;
}

const WAKING: ReadonlySet<EventType> = new Set(["signal"]);

/**
 * Makes the agent's decisions by contextual bandits: a linear model of the reward of each alternative, and exact probabilities by the gaps
 * between them. It is a fold over the log of the decisions and of the rewards of the episodes that they were told in, which an online
 * learner or a `signalReader()` reads off next states: it works in front of any model.
 *
 * @throws AgentError `decision/bad-option`.
 */
export function banditDecider(options: BanditDeciderOptions): BanditDecider {
  const { log, seed = 0, clock, exploitation = 8, floor = 0.01, forgetting = 1 } = options;
  const rule = { exploitation, floor, forgetting };
  checkRule(rule);
  const follower = new LogFollower({
    name: "bandit",
    log,
    wakesOn: WAKING,
    open: (left) => foldDecisions(rule, left),
    ...(clock && { clock }),
  });
  const choose: Decider["choose"] = ({ decision: { name, alternatives }, features, seed: episodeSeed }): Choice => {
    const known = follower.fold.known.get(name) ?? newDecision(name, alternatives);
    const probabilities = choiceProbabilities(known, alternatives, features, rule);
    const at = drawAlternative(probabilities, createRandom(mixSeed(seed, "bandit", episodeSeed)).next());
    return { choice: alternatives[at]!, propensity: probabilities[at]! };
  };
  return {
    name: "bandit-decider",
    provides: [DECIDER],
    async setup(context) {
      context.provide(DECIDER, { choose });
      await follower.start(context);
    },
    choose,
    settled: () => follower.settled(),
    get known() {
      return follower.fold.known;
    },
    unlearn: (userId) => follower.unlearn(userId),
    report: () => [...follower.fold.known.values()].map(describeDecision).join("\n"),
  };
}

/** What is known of decisions as a fold over the log, without the sessions of some. */
function foldDecisions(rule: BanditRule, left: LeftOut) {
  const outcomes = foldOutcomes();
  const known = new Map<string, LearnedDecision>();
  return {
    known,
    take(record: LogRecord) {
      const outcome = outcomes.take(record);
      if (outcome === undefined || left.isLeftOut(outcome.sessionId)) return;
      for (const made of outcome.decisions) {
        if (made.name.startsWith(TEXT_DECISION)) continue;
        const before = known.get(made.name) ?? newDecision(made.name, made.alternatives);
        known.set(made.name, withChoice(before, made, outcome, rule));
      }
    },
  };
}

function checkRule({ exploitation, floor, forgetting }: BanditRule): void {
  const refuse = (what: string) => new AgentError("decision/bad-option", `banditDecider: ${what}`);
  if (!(exploitation > 0)) throw refuse(`exploitation is more than 0, not ${exploitation}`);
  if (!(floor > 0 && floor < 0.5)) throw refuse(`floor is a probability above 0 and below .5, not ${floor}`);
  if (!(forgetting > 0 && forgetting <= 1)) throw refuse(`forgetting is above 0 and at most 1, not ${forgetting}`);
}
