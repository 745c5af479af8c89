import type { JudgedEpisode } from "../online/judged-episode.js";
import type { Alarm } from "./alarm.js";
import { answerShape, CONSENSUS_RULE, type ConsensusRule, consensusOf, type Vote } from "./consensus.js";
import { INFLUENCE_RULE, type InfluenceRule } from "./influence.js";
import { injectionOf } from "./injected-instructions.js";

/** How much is believed of what users say. */
export interface FeedbackRule {
  readonly influence: InfluenceRule;
  readonly consensus: ConsensusRule;
  /** Steps that one of many users may judge by explicit feedback in one hour. Further ones are not trained on. */
  readonly feedbackPerHour: number;
  /** Judged episodes of one user in one update from which on they are called bulk, if they are more than the user's share. */
  readonly bulk: number;
}

/** What a deployment of many users keeps to. */
export const FEEDBACK_RULE: FeedbackRule = {
  influence: INFLUENCE_RULE,
  consensus: CONSENSUS_RULE,
  feedbackPerHour: 30,
  bulk: 8,
};

/** What is remembered of users' votes: part of what a version has learned up to, so that an update can be derived again. */
export interface FeedbackState {
  /** The latest votes, oldest first. */
  readonly votes: readonly Vote[];
  /** Steps of episodes that began in one hour since the epoch, that each user judged by explicit feedback. */
  readonly rated: { readonly hour: number; readonly steps: Readonly<Record<string, number>> };
  /** Users whose episodes are not trained on, and why. */
  readonly quarantined: Readonly<Record<string, string>>;
  /** What was told of the last update: it is told again only after one without it. */
  readonly told: readonly string[];
}

/** Nobody has said anything. */
export const NO_FEEDBACK: FeedbackState = { votes: [], rated: { hour: 0, steps: {} }, quarantined: {}, told: [] };

/** Episodes that are believed, and what became of the others. */
export interface GuardedEpisodes {
  readonly trusted: readonly JudgedEpisode[];
  readonly state: FeedbackState;
  readonly alarms: readonly Alarm[];
  /** Of users in quarantine, or with instructions to the judge in them. */
  readonly quarantined: readonly JudgedEpisode[];
  /** Beyond the rate of feedback. */
  readonly rateLimited: readonly JudgedEpisode[];
}

const VOTES = 1024;
const HOUR_MS = 3_600_000;

/** Whose an episode is. Who gives no name is one user. */
export function userOf({ userId }: Pick<JudgedEpisode, "userId">): string {
  return userId ?? "";
}

/** Users that the latest votes are of. */
export function knownUsers({ votes }: FeedbackState): number {
  return new Set(votes.map(({ user }) => user)).size;
}

/**
 * Keeps what is not to be believed from being trained on: episodes in whose tool outputs somebody speaks to the judge, those of users
 * who contradict all others on the same kind of answer, and feedback beyond what a person gives in an hour. A user who is quarantined
 * stays so until {@link releaseUser}.
 */
export function guardFeedback(
  episodes: readonly JudgedEpisode[],
  state: FeedbackState,
  rule: FeedbackRule,
): GuardedEpisodes {
  const alarms: Alarm[] = [];
  const lasting: (readonly [cause: string, alarm: Alarm])[] = [];
  const injected = new Map<JudgedEpisode, string>();
  for (const episode of episodes) {
    const found = episode.steps.map(injectionOf).find((text) => text !== undefined);
    if (found !== undefined) injected.set(episode, found);
  }
  if (injected.size > 0) lasting.push(["injection", injectionAlarm(injected.size, [...injected.values()][0]!)]);
  const votes = [...state.votes, ...episodes.filter((episode) => !injected.has(episode)).flatMap(votesOf)].slice(
    -VOTES,
  );
  const quarantined = { ...state.quarantined };
  const { contradictors, expected, dispersion } = consensusOf(votes, rule.consensus);
  if (dispersion > rule.consensus.divided) lasting.push(["divided", dividedAlarm(dispersion)]);
  for (const { user, compared, contradicted } of contradictors) {
    if (quarantined[user] !== undefined) continue;
    const message = `user "${user}" contradicts the others on ${contradicted} of ${compared} answers of the same kind, and is in quarantine until releaseUser()`;
    quarantined[user] = message;
    alarms.push({
      name: "poisoned-feedback",
      severity: "critical",
      message,
      numbers: { compared, contradicted, expected },
    });
  }
  const users = new Set(votes.map(({ user }) => user)).size;
  const { rated, beyond } = rate(
    episodes,
    state.rated,
    users < rule.influence.minUsers ? Number.POSITIVE_INFINITY : rule.feedbackPerHour,
  );
  lasting.push(...bulkAlarms(episodes, users, rule));
  alarms.push(...lasting.flatMap(([cause, alarm]) => (state.told.includes(cause) ? [] : [alarm])));
  const kept = (episode: JudgedEpisode) => !injected.has(episode) && quarantined[userOf(episode)] === undefined;
  const trusted = episodes.filter((episode) => kept(episode) && !beyond.has(episode));
  return {
    trusted,
    state: { votes, rated, quarantined, told: lasting.map(([cause]) => cause) },
    alarms,
    quarantined: episodes.filter((episode) => !kept(episode)),
    rateLimited: episodes.filter((episode) => kept(episode) && beyond.has(episode)),
  };
}

/** Lets a user's feedback count again from now on. What was said before is forgotten. */
export function releaseUser(state: FeedbackState, user: string): FeedbackState {
  const { [user]: _, ...quarantined } = state.quarantined;
  return { ...state, quarantined, votes: state.votes.filter((vote) => vote.user !== user) };
}

/** One vote a step, however often it was given: that of the deciding signal. */
function votesOf(episode: JudgedEpisode): Vote[] {
  return episode.steps.flatMap(({ evidence, reward, kind, response }) =>
    evidence && reward !== undefined && reward !== 0 && (kind === "answer" || kind === "text")
      ? [{ user: userOf(episode), key: answerShape(response), value: Math.sign(reward) }]
      : [],
  );
}

function bulkAlarms(
  episodes: readonly JudgedEpisode[],
  users: number,
  rule: FeedbackRule,
): (readonly [string, Alarm])[] {
  if (users < rule.influence.minUsers) return [];
  const voted = episodes.filter(({ steps }) => steps.some(({ evidence }) => evidence));
  const most = Math.max(rule.bulk - 1, voted.length * Math.max(rule.influence.maxShare, 4 / users));
  return [...new Set(voted.map(userOf))].flatMap((user) => {
    const count = voted.filter((episode) => userOf(episode) === user).length;
    if (count <= most) return [];
    const message = `user "${user}" judged ${count} of the ${voted.length} episodes of one update, of ${users} users; they count no more than a share of ${rule.influence.maxShare.toFixed(2)}`;
    const numbers = { episodes: count, of: voted.length, users };
    return [[`bulk ${user}`, { name: "poisoned-feedback", severity: "warning", message, numbers }] as const];
  });
}

function dividedAlarm(dispersion: number): Alarm {
  return {
    name: "poisoned-feedback",
    severity: "warning",
    message: `users are divided: some contradict the others ${dispersion.toFixed(1)} standard deviations more often than chance has it`,
    numbers: { dispersion },
  };
}

function injectionAlarm(episodes: number, found: string): Alarm {
  return {
    name: "poisoned-feedback",
    severity: "critical",
    message: `a tool's output speaks to whoever reads it ("${found.slice(0, 80)}"); ${episodes} episodes are not trained on`,
    numbers: { episodes },
  };
}

function rate(episodes: readonly JudgedEpisode[], before: FeedbackState["rated"], perHour: number) {
  let { hour, steps } = before;
  const beyond = new Set<JudgedEpisode>();
  for (const episode of episodes) {
    const rated = episode.steps.filter(({ signals }) => signals.some(({ source }) => source === "feedback")).length;
    if (rated === 0) continue;
    const now = Math.floor(episode.startedAt / HOUR_MS);
    if (now > hour) [hour, steps] = [now, {}];
    const user = userOf(episode);
    const count = (steps[user] ?? 0) + rated;
    steps = { ...steps, [user]: count };
    if (count > perHour) beyond.add(episode);
  }
  return { rated: { hour, steps }, beyond };
}
