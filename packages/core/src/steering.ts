import type { EpisodeEvents } from "./episode-events.js";
import { AgentError, messageOf } from "./errors.js";
import type { LoopParts } from "./loop-parts.js";
import { decisionPayload, type MadeDecision, makeDecisions } from "./make-decisions.js";
import type { Session } from "./session.js";

/** What was learned beside the weights, as it bears on all steps of one episode. */
export interface Steering {
  readonly guidance: string | undefined;
  readonly decisions: readonly MadeDecision[];
}

/** Whose episode it is. */
interface Steered {
  readonly userId?: string;
  readonly seed: number;
}

/** The steering of an episode that begins; the prompt is in the session's context already. What cannot be had is reported and left out. */
export function newSteering(parts: LoopParts, session: Session, episode: Steered, events: EpisodeEvents): Steering {
  const { guidance } = parts;
  const context = contextOf(session, episode);
  let advice: string | undefined;
  try {
    advice = guidance?.advise(context);
  } catch (cause) {
    goOnWithout("guidance", cause, events);
  }
  const decisions = decided(parts, session, episode, events, false);
  for (const made of decisions) events.emit("decision", decisionPayload(made));
  return { guidance: advice, decisions };
}

/** The steering of an episode that goes on: as it was. */
export function sameSteering(
  parts: LoopParts,
  session: Session,
  episode: Steered & { readonly guidance: string | undefined },
  events: EpisodeEvents,
): Steering {
  return { guidance: episode.guidance, decisions: decided(parts, session, episode, events, true) };
}

/** Reports the failure of a service that a run can do without. */
export function goOnWithout(
  service: "memory" | "planner" | "guidance" | "decider",
  cause: unknown,
  events: EpisodeEvents,
): undefined {
  const code = AgentError.isInstance(cause) ? cause.code : `${service}/failed`;
  events.emit("error", { code, message: `the ${service} failed: ${messageOf(cause)}; the run goes on without it` });
  return undefined;
}

function decided(
  { decisions, decider }: LoopParts,
  session: Session,
  episode: Steered,
  events: EpisodeEvents,
  goesOn: boolean,
): readonly MadeDecision[] {
  const { choices } = session;
  try {
    return makeDecisions({
      decisions,
      decider,
      context: contextOf(session, episode),
      choices,
      goesOn,
      seed: episode.seed,
    });
  } catch (cause) {
    goOnWithout("decider", cause, events);
    return [];
  }
}

function contextOf({ id: sessionId, messages }: Session, { userId }: Steered) {
  return { sessionId, ...(userId !== undefined && { userId }), messages: messages.slice() };
}
