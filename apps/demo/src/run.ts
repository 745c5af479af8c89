import type { EventLog } from "@afterstate/core";
import { baseOf, createWorkerTrainer, EMBEDDED_POLICY, type PolicyFiles, readPolicyFolder } from "@afterstate/learner";
import { createSimulatedUsers, type Homework, loadHomework } from "@afterstate/learner/homework";
import { type ArmOptions, type LearningArm, openArm } from "./arm.js";
import { type Chat, openChat } from "./chat.js";
import { holdSessions } from "./classroom.js";
import { openDataFolder } from "./data-folder.js";
import { compare, measure, type Outcomes, summarise } from "./measure.js";
import type { DemoOptions } from "./options.js";
import type { Arm, Progress } from "./progress.js";

/** What a demo is run with, apart from its options. */
export interface DemoSurroundings {
  readonly report: (progress: Progress) => void;
  /** Where the page is. */
  readonly page: string;
  /** Called once the agent can be talked to. */
  readonly onChat: (chat: Chat) => void;
  /** No further sessions start once it aborts. */
  readonly signal: AbortSignal;
}

/** A demo that has come to its summary; the agent stays up until it is closed. */
export interface RunningDemo {
  close(): Promise<void>;
}

const HELD_OUT_QUESTIONS = 400;
const CURVE_QUESTIONS = 120;
const GATE_QUESTIONS = 96;
const WAVE = 16;
/** The curve gets a point every so many sessions. */
const CURVE_SESSIONS = 5 * WAVE;
const PERSON = "you";

/** Measures, lets the agent learn from its users, measures again, beside a control; then the agent stays up. */
export async function runDemo(options: DemoOptions, surroundings: DemoSurroundings): Promise<RunningDemo> {
  const { report } = surroundings;
  const started = performance.now();
  report({ type: "loading", text: "reading the policy and the questions" });
  const files = readPolicyFolder(EMBEDDED_POLICY);
  const homework = loadHomework();
  const { preference } = createSimulatedUsers(homework, { seed: options.seed });
  const { folder, remove } = await openDataFolder(options.data, baseOf(files, "the embedded policy"));
  const learns = options.learner !== "off";
  report({ type: "loading", text: "opening the tensor backend" });
  const trainer = learns ? await createWorkerTrainer(files.config) : undefined;
  const common: Omit<ArmOptions, "arm" | "control"> = {
    files,
    ...(trainer !== undefined && { trainer }),
    mode: options.learner,
    seed: options.seed,
    gateQuestions: homework.drawDistinct("gate", GATE_QUESTIONS, 0),
    preference,
    report,
  };
  const arm = await openArm({
    ...common,
    arm: options.control ? "control" : "learner",
    control: options.control,
    folder,
  });
  const run: Run = { options, surroundings, files, homework, started };
  surroundings.onChat(openChat(arm.agent, PERSON, report));
  report({
    type: "ready",
    backend: arm.policy.backend,
    learner: options.learner,
    control: options.control,
    seed: options.seed,
    parameters: [...files.weights.values()].reduce((sum, { data }) => sum + data.length, 0),
    policyVersion: arm.policy.serving,
    heldOut: HELD_OUT_QUESTIONS,
    sessions: options.chat ? 0 : options.sessions,
    page: surroundings.page,
    ...(options.data !== undefined && { data: options.data }),
  });
  if (!options.chat) await learnAndCompare(run, arm, common);
  return {
    async close() {
      await arm.close();
      await trainer?.dispose();
      await remove();
    },
  };
}

interface Run {
  readonly options: DemoOptions;
  readonly surroundings: DemoSurroundings;
  readonly files: PolicyFiles;
  readonly homework: Homework;
  readonly started: number;
}

async function learnAndCompare(run: Run, arm: LearningArm, common: Omit<ArmOptions, "arm" | "control">): Promise<void> {
  const { options, surroundings, started } = run;
  const { report } = surroundings;
  const name: Arm = options.control ? "control" : "learner";
  const before = await measureArm(run, arm, name, "base", 0);
  const earlier = await closeLeftSessions(arm);
  const learned = await learn(run, arm, name, { sessions: options.sessions, before: earlier });
  const after = await measureArm(run, arm, name, arm.policy.serving, learned.sessions);
  const comparison = compare(before, after, options.seed);

  let [refused, lost] = [learned.refused, lostBy(arm)];
  let control: ReturnType<typeof compare> | undefined;
  if (options.learner !== "off" && !options.control && !surroundings.signal.aborted) {
    const beside = await openArm({ ...common, arm: "control", control: true });
    try {
      report({ type: "evaluation", arm: "control", session: 0, ...summarise(before) });
      const held = await learn(run, beside, "control", { sessions: learned.sessions, before: 0 });
      control = compare(
        before,
        await measureArm(run, beside, "control", beside.policy.serving, held.sessions),
        options.seed,
      );
      refused += held.refused;
      lost += lostBy(beside);
    } finally {
      await beside.close();
    }
  }
  report({
    type: "summary",
    backend: arm.policy.backend,
    sessions: learned.sessions,
    updates: arm.learner?.report().updates ?? 0,
    learner: comparison,
    ...(control !== undefined && { control }),
    refused,
    samplesLost: lost,
    seconds: (performance.now() - started) / 1000,
    ...(learned.sessions < options.sessions && {
      cut: surroundings.signal.aborted ? "stopped" : `${options.minutes} minutes were over`,
    }),
  });
}

/** Samples that were too old, ill-formed, or in an update that failed. */
function lostBy({ learner }: LearningArm): number {
  if (learner === undefined) return 0;
  const { stale, malformed, failedUpdate } = learner.report().dropped;
  return stale + malformed + failedUpdate;
}

async function learn(
  run: Run,
  arm: LearningArm,
  name: Arm,
  { sessions, before }: { readonly sessions: number; readonly before: number },
) {
  const { options, surroundings, homework } = run;
  const deadline = performance.now() + options.minutes * 60_000;
  return holdSessions({
    agent: arm.agent,
    ...(arm.learner !== undefined && { learner: arm.learner }),
    users: createSimulatedUsers(homework, { seed: options.seed, firstSession: before }),
    arm: name,
    sessions,
    before,
    wave: WAVE,
    report: surroundings.report,
    stop: () => surroundings.signal.aborted || (name === "learner" && performance.now() > deadline),
    onWave: async (held) => {
      if (arm.learner !== undefined && held % CURVE_SESSIONS === 0 && held < sessions) {
        await measureArm(run, arm, name, arm.policy.serving, held, CURVE_QUESTIONS);
      }
    },
  });
}

/** Asks held-out questions and reports what came of it. */
async function measureArm(
  { options, surroundings, homework }: Run,
  arm: LearningArm,
  name: Arm,
  version: string,
  session: number,
  count = HELD_OUT_QUESTIONS,
): Promise<Outcomes> {
  const { report } = surroundings;
  const { preference } = createSimulatedUsers(homework, { seed: options.seed });
  const questions = homework.drawDistinct("held-out", HELD_OUT_QUESTIONS, options.seed).slice(0, count);
  report({ type: "evaluating", arm: name, completed: 0, total: count });
  const outcomes = await measure({
    policy: arm.policy,
    version,
    questions,
    preference,
    seed: options.seed,
    onProgress: (completed) => {
      if (completed % 40 === 0) report({ type: "evaluating", arm: name, completed, total: count });
    },
  });
  report({ type: "evaluation", arm: name, session, ...summarise(outcomes) });
  return outcomes;
}

/** Closes sessions that a stop left open. @returns how many sessions of simulated users the log holds. */
async function closeLeftSessions({ log, agent, learner }: LearningArm): Promise<number> {
  const { opened, open } = await sessionsOf(log);
  for (const sessionId of open) await agent.closeSession(sessionId, "idle");
  await learner?.settled();
  return opened;
}

async function sessionsOf(log: EventLog): Promise<{ readonly opened: number; readonly open: readonly string[] }> {
  let opened = 0;
  const open = new Set<string>();
  for await (const { event } of log.read(0)) {
    const number = /^session-(\d+)$/.exec(event.sessionId)?.[1];
    if (number === undefined) continue;
    opened = Math.max(opened, Number(number) + 1);
    if (event.type === "episode-start") open.add(event.sessionId);
    if (event.type === "next-state" && event.nextState.kind === "closed") open.delete(event.sessionId);
  }
  return { opened, open: [...open] };
}
