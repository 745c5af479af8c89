import type { Choice, Decider, Decision, DecisionContext } from "./decision.js";
import { AgentError } from "./errors.js";
import type { EventPayloads } from "./event.js";
import type { ModelRequest } from "./model.js";
import type { Plugin } from "./plugin.js";
import { mixSeed } from "./random.js";

/** The decisions of all plugins, in plugin order. @throws AgentError `decision/invalid` naming decision and plugin. */
export function decisionsOf(plugins: readonly Pick<Plugin, "name" | "decisions">[]): readonly Decision[] {
  const owners = new Map<string, string>();
  return plugins.flatMap((plugin) =>
    (plugin.decisions ?? []).map((decision) => {
      const { name, alternatives } = decision;
      const refuse = (why: string) =>
        new AgentError("decision/invalid", `decision "${name}" of plugin "${plugin.name}" ${why}`);
      if (alternatives.length < 2 || new Set(alternatives).size < alternatives.length)
        throw refuse("needs at least two different alternatives");
      if (owners.has(name)) throw refuse(`is in plugin "${owners.get(name)}", too; rename one of them`);
      owners.set(name, plugin.name);
      return decision;
    }),
  );
}

/** A decision with what was chosen. */
export interface MadeDecision extends Choice {
  readonly decision: Decision;
  readonly features: Readonly<Record<string, number>>;
}

/**
 * Makes an episode's decisions, and notes them in `choices`. What was chosen earlier in the session is kept by decisions that hold so
 * long, and by all of an episode that goes on.
 *
 * @throws AgentError `decision/invalid-choice` when the decider is at fault.
 */
export function makeDecisions(request: {
  readonly decisions: readonly Decision[];
  readonly decider: Decider | undefined;
  readonly context: DecisionContext;
  /** The session's last choices by the decisions' names. */
  readonly choices: Map<string, EventPayloads["decision"]>;
  readonly goesOn: boolean;
  readonly seed: number;
}): readonly MadeDecision[] {
  const { decisions, decider, context, choices, goesOn, seed } = request;
  const { sessionId, userId } = context;
  return decisions.map((decision) => {
    const { name, alternatives, scope } = decision;
    const earlier = goesOn || scope === "session" ? choices.get(name) : undefined;
    if (earlier !== undefined && alternatives.includes(earlier.choice)) return { ...earlier, decision };
    const features = decision.features?.(context) ?? {};
    const { choice, propensity } = decider?.choose({
      decision,
      features,
      sessionId,
      ...(userId !== undefined && { userId }),
      seed: mixSeed(seed, "decision", name),
    }) ?? { choice: alternatives[0]!, propensity: 1 };
    if (!alternatives.includes(choice) || !(propensity > 0 && propensity <= 1))
      throw new AgentError(
        "decision/invalid-choice",
        `decision "${name}" is between ${alternatives.join(", ")}, and the decider chose "${choice}" with propensity ${propensity}`,
      );
    const made = { decision, features, choice, propensity };
    choices.set(name, decisionPayload(made));
    return made;
  });
}

/** What the event of a decision tells. */
export function decisionPayload({ decision, choice, propensity, features }: MadeDecision): EventPayloads["decision"] {
  return { name: decision.name, alternatives: decision.alternatives, choice, propensity, features };
}

/** The request as the decisions want it, one after the other. */
export function withDecisions(request: ModelRequest, decisions: readonly MadeDecision[]): ModelRequest {
  return decisions.reduce((changed, { decision, choice }) => decision.apply(choice, changed), request);
}
