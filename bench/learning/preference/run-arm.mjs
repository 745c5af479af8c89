// One arm with one seed: the sessions, then after how many of them the preference held.
import { memoryEventLog } from "@afterstate/core";
import {
  learnedText,
  onlineLearner,
  openPolicy,
  ruleHintReader,
  ruleJudge,
  unusedToolReader,
} from "@afterstate/learner";
import { createSimulatedUsers, strangersNames, userName } from "@afterstate/learner/homework";
import { holdSession, homeworkAgent, measure } from "../homework/classroom.mjs";

/** Sessions that are right and as wanted, one after the other. */
const GOOD_SESSIONS = 3;
const HELD_SHARE = 0.8;
/** It still holds so many sessions later. */
const LATER = [4, 8, 12];
const STRANGERS = 8;

/**
 * @param setting the policy's `files` and `trainer`, the `homework`, the `seed`, `maxContextTokens` of a conversation, `maxBatch` of requests
 * side by side, how many held-out `questions` a `check` has and the `end`, and whom `onSession` tells of each.
 * @returns one result of the bench.
 */
export async function runArm(name, arm, setting) {
  const { seed, files, homework, trainer, maxContextTokens, maxBatch, questions: asks, onSession } = setting;
  const started = performance.now();
  const policy = await openPolicy(files, { maxBatch });
  const log = memoryEventLog();
  // Every version is kept: they are measured in the end.
  const learner = onlineLearner({
    policy,
    trainer,
    log,
    judge: ruleJudge(),
    hintReader: [ruleHintReader(), unusedToolReader()],
    mode: "live",
    credit: { decay: 0.97 },
    keepVersions: 1e6,
    // Users of a simulation need no guard, and one person alone would look like a crowd of one.
    feedback: "trusted",
    seed,
    ...arm.learner,
  });
  const text = arm.text ? learnedText({ log, seed }) : undefined;
  const plugins = text ? [text, learner] : [learner];
  const agent = await homeworkAgent({ model: policy.model(), maxContextTokens, seed, log, plugins });
  const errors = [];
  agent.events.on("error", ({ message }) => errors.push(message));
  const users = createSimulatedUsers(homework, { seed, users: arm.users });
  const names = arm.users === 1 ? [userName(seed, 0)] : strangersNames(seed).slice(0, STRANGERS);
  const asked = { sessionId: "", userId: "user-0", messages: [{ role: "user", content: "What is 2+3?" }] };

  const good = [];
  const states = [{ version: policy.serving, guidance: undefined }];
  for (let held = 0; held < arm.sessions; held++) {
    learner.pause();
    const { success, preferenceHeld } = await holdSession(agent, users.session());
    learner.resume();
    await learner.settled();
    await text?.settled();
    good.push(success && preferenceHeld);
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    onSession?.(
      `  ${held + 1}/${arm.sessions}: ${success ? "right" : "wrong"}, ${preferenceHeld ? "as wanted" : "otherwise"}, ${seconds} s`,
    );
    states.push({ version: policy.serving, guidance: text?.advise(asked) });
  }

  const questions = homework.drawDistinct("held-out", asks.end, seed);
  const common = { maxContextTokens, preference: users.preference, names, seed };
  const known = new Map();
  const check = async (sessions) => {
    const { version, guidance } = states[sessions];
    const key = `${version} ${guidance}`;
    const asIs = { ...common, model: policy.model(version), questions: questions.slice(0, asks.check), guidance };
    if (!known.has(key)) known.set(key, await measure(asIs));
    return known.get(key).preference;
  };
  const holdsAfter = async (sessions) => {
    const next = good.slice(sessions, sessions + GOOD_SESSIONS);
    if (next.length < GOOD_SESSIONS || !next.every(Boolean)) return false;
    for (const at of [0, ...LATER].map((later) => sessions + later))
      if (at <= arm.sessions && (await check(at)) <= HELD_SHARE) return false;
    return true;
  };
  let sessions;
  for (let s = 0; s <= arm.sessions && sessions === undefined; s++) if (await holdsAfter(s)) sessions = s;

  const last = states.at(-1);
  const model = policy.model(last.version);
  const end = await measure({ ...common, model, questions, guidance: last.guidance });
  const withoutText = text && (await measure({ ...common, model, questions, guidance: undefined }));
  const { updates, samples, replayed, dropped } = learner.report();
  await agent.close();
  policy.dispose();
  return {
    arm: name,
    seed,
    format: users.preference.format,
    // null: not within the budget.
    sessions: sessions ?? null,
    budget: arm.sessions,
    end,
    ...(withoutText && { withoutText }),
    ...(last.guidance !== undefined && { guidance: last.guidance }),
    updates,
    samples,
    replayed,
    dropped,
    errors: errors.length,
    seconds: (performance.now() - started) / 1000,
  };
}
