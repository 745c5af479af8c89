import type { Attribution, EventOf, EventPayloads, LogRecord } from "@afterstate/core";
import { type EpisodeOutcome, foldOutcomes, TEXT_DECISION } from "../decisions/episode-outcomes.js";
import type { LeftOut } from "../online/log-follower.js";
import { addReward } from "../online/reward-watch.js";
import { differenceOf } from "./betting-interval.js";
import {
  isFor,
  isOwn,
  type LearnedText,
  NO_TEXT,
  NO_TRIAL,
  type TextRules,
  type TextState,
} from "./learned-text-state.js";
import { withShared } from "./shared-wishes.js";
import { judgeTrial } from "./text-trial.js";
import { contradicts, isSameWish, termsOf, type Wish, wishesOf } from "./wish.js";

/** Learned text as a fold over the event log, which has to be given from its first record on. */
export interface TextFold {
  readonly state: TextState;
  /** What was decided in an episode, but for what text it saw. */
  decisionsOf(episodeId: string): readonly EventPayloads["decision"][];
  /** @returns the outcome that the record settles, if it settles one. */
  take(record: LogRecord): EpisodeOutcome | undefined;
}

/**
 * Text from the log alone: the same records give the same state, so that nothing of it has to be kept anywhere else.
 *
 * @param left users whose sessions are passed over, as if they had never been.
 */
export function foldText(rules: TextRules, left: LeftOut): TextFold {
  const outcomes = foldOutcomes();
  let state = NO_TEXT;
  return {
    get state() {
      return state;
    },
    decisionsOf: (episodeId) => outcomes.decisionsOf(episodeId).filter(({ name }) => !name.startsWith(TEXT_DECISION)),
    take(record) {
      const { event, offset } = record;
      if (left.isLeftOut(event.sessionId)) return undefined;
      if (event.type === "episode-start" && event.userId !== undefined && !state.users.has(event.userId))
        state = { ...state, users: new Set([...state.users, event.userId]) };
      const outcome = outcomes.take(record);
      if (outcome !== undefined) state = withOutcome(state, outcome);
      if (event.type === "text-update") state = withSkills(state, event, offset, left, rules);
      if (event.type === "signal" && event.signal.kind === "hint") {
        state = withCounts(state, event.signal.attribution);
        const userId = outcomes.userOf(event.sessionId);
        if (userId === undefined) return outcome;
        for (const wish of wishesOf(event.signal.text)) {
          state = withWish(state, wish, { userId, sessionId: event.sessionId, offset });
          state = withShared(state, wish, rules, offset);
        }
      }
      return outcome;
    },
  };
}

/** A user's wish: said again it is confirmed, and what it contradicts is over. */
function withWish(
  state: TextState,
  wish: Wish,
  from: { readonly userId: string; readonly sessionId: string; readonly offset: number },
): TextState {
  const { userId, sessionId, offset } = from;
  const isTheirs = (text: LearnedText) => text.state === "active" && text.kind === "principle" && isOwn(text, userId);
  const same = state.texts.find((text) => isTheirs(text) && isSameWish(text, wish));
  const kept = state.texts.map((text): LearnedText => {
    if (text === same) return { ...text, sessions: [...new Set([...text.sessions, sessionId])], confirmed: offset };
    return isTheirs(text) && contradicts(text, wish) ? { ...text, state: "retired" } : text;
  });
  if (same !== undefined) return { ...state, texts: kept };
  const text: LearnedText = {
    ...wish,
    id: `principle-${offset}-${kept.length}`,
    kind: "principle",
    scope: { userId },
    generation: state.generation,
    users: [userId],
    sessions: [sessionId],
    created: offset,
    confirmed: offset,
    trial: NO_TRIAL,
    state: "active",
  };
  return { ...state, texts: [...kept, text] };
}

/** The skills of an evolution. One that a user's failures went into goes with the user, unless enough others stand behind it. */
export function withSkills(
  state: TextState,
  { generation, added }: Pick<EventOf<"text-update">, "generation" | "added">,
  offset: number,
  left: LeftOut,
  { shareAfter }: TextRules,
): TextState {
  if (generation <= state.generation) return state;
  const skills = added.flatMap(({ name, when, text, users }, index): LearnedText[] => {
    const [wish] = wishesOf(text);
    const remaining = users.filter((user) => !left.hasAsked(user));
    const alone = users.length === 1;
    if (remaining.length < (alone ? 1 : shareAfter)) return [];
    return [
      {
        ...(wish ?? { topic: "other", terms: termsOf(text) }),
        text,
        id: `skill-${generation}-${index}`,
        kind: "skill",
        name,
        when,
        scope: alone ? { userId: users[0]! } : "everyone",
        generation,
        users: remaining,
        sessions: [],
        created: offset,
        confirmed: offset,
        trial: NO_TRIAL,
        state: "candidate",
      },
    ];
  });
  return { ...state, generation, texts: [...state.texts, ...skills] };
}

/** What came of an episode, booked on the texts that it saw or that were held back from it. */
function withOutcome(state: TextState, { userId, decisions, guidance = "", reward }: EpisodeOutcome): TextState {
  const chosen = new Map(decisions.map(({ name, choice }) => [name, choice]));
  const texts = state.texts.map((text): LearnedText => {
    if (text.state === "retired" || !isFor(text, userId)) return text;
    const choice = chosen.get(`${TEXT_DECISION}${text.id}`);
    const shown = choice === "shown" || (choice === undefined && guidance.includes(text.text));
    if (!shown && choice === undefined) return text;
    const { trial } = text;
    const measured = {
      ...trial,
      [shown ? "shown" : "withheld"]: addReward(trial[shown ? "shown" : "withheld"], reward),
      ...(choice !== undefined && { differences: [...trial.differences, differenceOf(shown, reward)] }),
    };
    return judgeTrial({ ...text, trial: measured });
  });
  return { ...state, texts };
}

function withCounts(state: TextState, attribution: Attribution | undefined): TextState {
  const corrections = { ...state.corrections };
  for (const { layer } of attribution?.parts ?? []) corrections[layer] += 1;
  return { ...state, corrections };
}
