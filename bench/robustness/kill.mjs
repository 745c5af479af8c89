// Kills a learning agent with SIGKILL at random moments and starts it again over the same data folder: is every acknowledged step in the log,
// trained on once or dropped with a reason, the serving version whole, and every update the same to the bit when it is made again?
// node bench/robustness/kill.mjs [kills] [seed]
import { spawn } from "node:child_process";
import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createRandom, openEventLog } from "@afterstate/core";
import * as learning from "@afterstate/learner";

const KILLS = Number(process.argv[2] ?? 200);
const SEED = Number(process.argv[3] ?? 1);
const PROGRAM = fileURLToPath(new URL("./kill/learning-agent.mjs", import.meta.url));
/** Of each four kills, three follow the beginning of a phase within so many milliseconds, and one comes at any moment. */
const PHASES = { update: 300, gate: 80, swap: 30 };
const ANY_MOMENT_MS = 1_500;
/** A program in which the phase that is waited for does not come is killed nonetheless. */
const PATIENCE_MS = 20_000;
/** The books are audited after so many kills, too. */
const AUDIT_EVERY = 25;

const random = createRandom(SEED);
const folder = await mkdtemp(join(tmpdir(), "afterstate-kill-"));
const acknowledged = new Set();
const problems = [];
const killedIn = { start: 0, collection: 0, update: 0, gate: 0, swap: 0 };
const startMs = [];
const started = performance.now();

/** When to kill: so many milliseconds after the beginning of a phase, or after the start. */
function planKill(index) {
  const phases = Object.keys(PHASES);
  const phase = phases[index % (phases.length + 1)];
  if (phase !== undefined) return { phase, times: 1 + random.integer(3), afterMs: random.next() * PHASES[phase] };
  return { phase: random.next() < 0.2 ? "start" : "collection", times: 1, afterMs: random.next() * ANY_MOMENT_MS };
}

/** Runs the program until the plan kills it, or to its end without one. @returns the phase that it was in at its end. */
async function runProgram(seed, task, plan) {
  const child = spawn(process.execPath, [PROGRAM, folder, String(seed), task], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal })));
  const timers = [];
  const killAfter = (ms) => timers.push(setTimeout(() => child.kill("SIGKILL"), ms));
  let phase = "start";
  let left = plan?.times;
  const enter = (entered) => {
    if (plan !== undefined && entered === plan.phase && --left === 0) killAfter(plan.afterMs);
    phase = entered;
  };
  if (plan !== undefined) killAfter(PATIENCE_MS);
  enter("start");
  for await (const line of createInterface({ input: child.stdout })) {
    const [kind, ...words] = line.split(" ");
    if (kind === "step") acknowledged.add(words.join(" "));
    if (kind === "phase") enter(words[0]);
    if (kind === "error") problems.push(`the learner said: ${words.join(" ")}`);
    if (kind === "ready") {
      startMs.push(Number(words[1]));
      enter("collection");
    }
  }
  const { code, signal } = await ended;
  for (const timer of timers) clearTimeout(timer);
  if (signal !== "SIGKILL" && code !== 0) problems.push(`the program ended by itself, with exit code ${code}`);
  return phase;
}

/** What became of every step so far, and whether each that was acknowledged is there. */
async function audit() {
  const log = await openEventLog(join(folder, "events"));
  try {
    const store = await learning.openVersionStore(join(folder, "policies"));
    const books = await learning.auditLearning(log, store);
    problems.push(...books.problems);
    const kept = new Set();
    for await (const { event } of log.read(0))
      if (event.type === "action") kept.add(JSON.stringify([event.episodeId, event.stepIndex]));
    for (const step of acknowledged) if (!kept.has(step)) problems.push(`step ${step} was acknowledged and is lost`);
    const version = (await store.pointer())?.version ?? "base";
    if (version !== "base") await store.weights(version);
    return books;
  } finally {
    await log.close();
  }
}

/** Makes every update again that leads to the version that serves, from the base on, and the last ones that the gate held back. */
async function makeAllAgain() {
  const files = learning.readPolicyFolder(learning.EMBEDDED_POLICY);
  const policy = await learning.openPolicy(files);
  const trainer = await learning.createTrainer(files.config);
  const copy = await mkdtemp(join(tmpdir(), "afterstate-again-"));
  await cp(folder, copy, { recursive: true });
  const policies = join(copy, "policies");
  for (const name of await readdir(policies))
    if (/^v\d/.test(name)) await rm(join(policies, name), { recursive: true });
  const log = await openEventLog(join(copy, "events"));
  const store = await learning.openVersionStore(policies);
  const learner = learning.onlineLearner({
    ...{ policy, trainer, log, store, judge: learning.ruleJudge() },
    ...{ mode: "live", signals: "hybrid" },
  });
  const updates = [];
  for (const sequence of await store.batches()) {
    const { update } = await store.batch(sequence);
    if (update !== undefined) updates.push(update);
  }
  const { version, ancestors } = await store.pointer();
  const heldBack = updates.filter(({ accepted }) => !accepted).map(({ candidate }) => candidate);
  const replays = [];
  for (const one of [...(version === "base" ? [] : [version]), ...heldBack.slice(-2)])
    replays.push(await learner.replay(one));
  for (const { differences } of replays) problems.push(...differences);
  await log.close();
  await rm(copy, { recursive: true, force: true });
  return { updates: updates.length, serving: version, ancestors: ancestors.length, heldBack: heldBack.length, replays };
}

for (let kill = 0; kill < KILLS; kill++) {
  const plan = planKill(kill);
  killedIn[await runProgram(SEED * 10_000 + kill, "collect", plan)]++;
  if ((kill + 1) % AUDIT_EVERY === 0) await audit();
  if ((kill + 1) % 10 === 0) process.stderr.write(`${kill + 1} kills, ${JSON.stringify(killedIn)}\n`);
}
await runProgram(SEED, "finish");
const { steps, trained, dropped, waiting } = await audit();
const again = await makeAllAgain();
await rm(folder, { recursive: true, force: true });
const { collection, update, gate, swap } = killedIn;
console.log(
  JSON.stringify({
    seed: SEED,
    kills: KILLS,
    killedIn,
    acknowledged: acknowledged.size,
    steps,
    trained,
    dropped,
    waiting,
    updates: again.updates,
    serving: again.serving,
    heldBack: again.heldBack,
    madeAgain: again.replays.map(({ version, identical }) => ({ version, identical })),
    problems: problems.length,
    firstProblems: problems.slice(0, 5),
    medianStartMs: startMs.sort((a, b) => a - b)[startMs.length >> 1],
    seconds: (performance.now() - started) / 1000,
    withinMark:
      problems.length === 0 &&
      again.replays.length > 0 &&
      again.replays.every(({ identical }) => identical) &&
      steps === trained + waiting + Object.values(dropped).reduce((sum, count) => sum + count, 0) &&
      (KILLS < 40 || [collection, update, gate, swap].every((count) => count > 0)),
  }),
);
