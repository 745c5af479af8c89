import type { Agent } from "@afterstate/core";
import type { OnlineLearner } from "@afterstate/learner";
import { type SimulatedSession, type SimulatedUsers, scoreAnswer } from "@afterstate/learner/homework";
import { toolReader } from "./chat.js";
import type { Arm, Progress } from "./progress.js";

/** Sessions of simulated users with an agent that learns from them. */
export interface ClassroomOptions {
  readonly agent: Agent;
  /** Absent: the agent does not learn. */
  readonly learner?: OnlineLearner;
  readonly users: SimulatedUsers;
  readonly arm: Arm;
  /** How many sessions there are to be, and how many there were before. */
  readonly sessions: number;
  readonly before: number;
  /** Sessions that go on side by side, each user's one after the other. The learner goes on between waves only: the same seed is the same run. */
  readonly wave: number;
  readonly report: (progress: Progress) => void;
  /** No further wave starts once it is true. */
  readonly stop: () => boolean;
  /** Called after each wave with the number of sessions so far. */
  readonly onWave?: (sessions: number) => Promise<void>;
}

/** What came of the sessions. */
export interface ClassroomResult {
  readonly sessions: number;
  /** Messages that got no answer. */
  readonly refused: number;
}

interface SessionOutcome {
  readonly session: SimulatedSession;
  readonly success: boolean;
  readonly preference: boolean;
  readonly tool: boolean;
  readonly refused: number;
  readonly policyVersion: string;
}

/** Holds sessions wave by wave. */
export async function holdSessions(options: ClassroomOptions): Promise<ClassroomResult> {
  const { agent, learner, users, arm, report } = options;
  const rewards = new Map<string, number[]>();
  const stopListening = agent.events.on("signal", ({ sessionId, signal }) => {
    if (signal.kind === "reward" && signal.source !== "tool")
      rewards.set(sessionId, [...(rewards.get(sessionId) ?? []), signal.value]);
  });
  let [held, refused] = [options.before, 0];
  try {
    while (held < options.sessions && !options.stop()) {
      const wave = Array.from({ length: Math.min(options.wave, options.sessions - held) }, () => users.session());
      learner?.pause();
      const outcomes = await holdWave(options, wave);
      learner?.resume();
      await learner?.settled();
      for (const { session, success, preference, tool, refused: unanswered, policyVersion } of outcomes) {
        refused += unanswered;
        const judged = rewards.get(session.sessionId) ?? [];
        report({
          type: "session",
          arm,
          index: ++held,
          total: options.sessions,
          userId: session.userId,
          questions: 1,
          success: success ? 1 : 0,
          preference: preference ? 1 : 0,
          toolRate: tool ? 1 : 0,
          ...(judged.length > 0 && { reward: judged.reduce((sum, value) => sum + value, 0) / judged.length }),
          policyVersion,
          refused,
        });
      }
      rewards.clear();
      await options.onWave?.(held);
    }
  } finally {
    learner?.resume();
    stopListening();
  }
  return { sessions: held, refused };
}

/** Holds sessions side by side; nobody is in two at a time. @returns what came of them, in their order. */
function holdWave(options: ClassroomOptions, wave: readonly SimulatedSession[]): Promise<SessionOutcome[]> {
  const busy = new Map<string, Promise<unknown>>();
  return Promise.all(
    wave.map((session, place) => {
      const { userId } = session;
      const outcome = (busy.get(userId) ?? Promise.resolve()).then(() => holdSession(options, session, place === 0));
      busy.set(userId, outcome);
      return outcome;
    }),
  );
}

/** One session: the question, the answer, the reaction, and so on until the user leaves. */
async function holdSession(
  { agent, arm, report }: ClassroomOptions,
  session: SimulatedSession,
  shown: boolean,
): Promise<SessionOutcome> {
  const { sessionId, userId, name, question } = session;
  let first: Pick<SessionOutcome, "success" | "preference" | "tool" | "policyVersion"> | undefined;
  let [prompt, leaves, refused] = [session.opening, false, 0];
  for (;;) {
    const run = agent.stream({ prompt, sessionId, userId });
    const readTool = toolReader();
    const tools: { readonly name: string; readonly text: string }[] = [];
    for await (const event of run) {
      const line = readTool(event);
      if (line !== undefined) tools.push(line);
    }
    const result = await run.result();
    const policyVersion = result.steps.at(-1)?.policyVersion ?? "";
    if (result.stopReason === "failed") refused += 1;
    const { success, preferenceHeld } = scoreAnswer(question, result.answer, session.preference, name);
    first ??= { success, preference: preferenceHeld, tool: tools.length > 0, policyVersion };
    if (shown) {
      const message = { type: "message", arm, sessionId, policyVersion } as const;
      report({ ...message, from: "user", name, text: prompt });
      for (const tool of tools) report({ ...message, from: "tool", ...tool });
      report({ ...message, from: "agent", name: "agent", text: result.answer, episodeId: run.episodeId });
    }
    if (leaves) break;
    const reaction = session.react(result.answer);
    [prompt, leaves] = [reaction.text, reaction.leaves];
  }
  await agent.closeSession(sessionId, "call");
  return { session, ...first, refused };
}
