// One run of the step-credit bench: from a starting policy until held-out success holds, or the budget ends.
import { createRandom, mixSeed } from "@afterstate/core";
import {
  collectRollouts,
  createTrainer,
  openPolicy,
  openTokenizer,
  startTraining,
  trainOnRollouts,
} from "@afterstate/learner";
import { chainPolicyFiles, drawChain, toolChainTask } from "@afterstate/learner/tool-chain";

/** Credits by name, and whether they hear the judge of steps beside the outcome. */
export const METHODS = {
  broadcast: { credit: { credit: "group" }, judged: false },
  "broadcast-judged": { credit: { credit: "group" }, judged: true },
  step: { credit: { credit: "step", whiten: true }, judged: true },
  gigpo: { credit: { credit: "anchor", gamma: 0.95 }, judged: false },
  "gigpo-judged": { credit: { credit: "anchor", gamma: 0.95 }, judged: true },
  hiper: { credit: { credit: "hierarchical" }, judged: true },
  "step+broadcast": {
    credit: { credit: ["step", "group"].map((credit) => ({ credit, weight: 1 })), whiten: true },
    judged: true,
  },
  "step+gigpo": {
    credit: { credit: ["step", "anchor"].map((credit) => ({ credit, weight: 1 })), gamma: 0.95, whiten: true },
    judged: true,
  },
};

const GROUPS = 4;
const GROUP_SIZE = 8;
const CREDIT = { gamma: 1, lambda: 0.95, decay: 0.99 };
/** Updates that a run has. */
export const BUDGET = 60;
/** Held-out tasks of one evaluation, and updates between two. */
const HELD_OUT = 64;
const EVALUATE_EVERY = 3;
const MARK = 0.9;
/** Evaluations in a row at the mark that end a run. */
const HOLD = 3;
const MAX_TOKENS = 12;
/** Tokens of a typical action. */
const TOKENS = 7;

const UPDATE = {
  learningRate: 5e-4,
  stepSize: "fixed",
  epochs: 2,
  clipLow: 0.2,
  clipHigh: 0.2,
  klCoefficient: 0,
  distillationWeight: 0,
  distillationClip: 5,
  gradientClip: 1,
};

/** What all runs of a process share. */
export async function openWorkshop() {
  const files = chainPolicyFiles();
  const tokenizer = openTokenizer(files);
  return { files, decode: tokenizer.decode, trainer: await createTrainer(files.config) };
}

/**
 * @param cell length, start, noise, method, seed, and a control: "shuffled" rewards, "signed" verdicts (−1 for a wrong step), or a
 * "blind" value that does not know how many steps remain.
 */
export async function runCell({ files, decode, trainer }, weights, cell) {
  const { length, method, noise, seed, control } = cell;
  const { credit, judged } = METHODS[method];
  const policy = await openPolicy({ ...files, weights }, { version: "v0" });
  const name = `${length}/${method}/${noise}/${cell.start}/${seed}`;
  const tasks = createRandom(mixSeed(name, "tasks"));
  const shuffles = createRandom(mixSeed(name, "shuffles"));
  let training = startTraining(weights);
  let drawn = 0;
  const draw = () => {
    const task = toolChainTask(drawChain(length, false, tasks));
    return altered(task, { noise, control, seed: mixSeed(name, "noise", drawn++) });
  };
  const success = async (update) => {
    const held = createRandom(mixSeed("held-out", length, seed, update));
    const { groups } = await collectRollouts({
      model: policy.model(),
      draw: () => toolChainTask(drawChain(length, true, held)),
      groups: HELD_OUT,
      groupSize: 1,
      seed: mixSeed(name, "evaluation", update),
      sampling: { temperature: 1, maxTokens: MAX_TOKENS },
    });
    return groups.filter(({ trajectories }) => trajectories[0].outcome === 1).length / HELD_OUT;
  };
  const started = performance.now();
  const curve = [[0, await success(0)]];
  let held = 0;
  for (let update = 1; update <= BUDGET && held < HOLD; update++) {
    const { groups } = await collectRollouts({
      model: policy.model(),
      draw,
      groups: GROUPS,
      groupSize: GROUP_SIZE,
      seed: mixSeed(name, "rollouts", update),
      sampling: { temperature: 1, maxTokens: MAX_TOKENS },
      verdictWeight: judged ? 1 : 0,
      decode,
    });
    const options = {
      credit: { ...CREDIT, ...credit },
      update: { ...UPDATE, lossDenominator: GROUPS * GROUP_SIZE * (length + 1) * TOKENS },
      reference: weights,
    };
    const learned = control === "shuffled" ? shuffled(groups, shuffles) : groups;
    try {
      ({ training } = await trainOnRollouts(trainer, learned, training, options));
    } catch (error) {
      if (error.code !== "rollout/nothing-to-learn") throw error;
    }
    policy.load(`v${update}`, training.weights);
    policy.serve(`v${update}`);
    policy.unload(`v${update - 1}`);
    if (update % EVALUATE_EVERY !== 0 && update < BUDGET) continue;
    const now = await success(update);
    curve.push([update, now]);
    held = now >= MARK ? held + 1 : 0;
  }
  policy.dispose();
  const [last, final] = curve.at(-1);
  return {
    ...cell,
    reached: held >= HOLD ? curve.at(-HOLD)[0] : null,
    updates: last,
    final,
    curve,
    seconds: Math.round((performance.now() - started) / 100) / 10,
  };
}

/** Each outcome and each verdict is turned round with a probability, each by itself; and what a control does. */
function altered(task, { noise, control, seed }) {
  let opened = 0;
  const seen = (observation) =>
    control === "blind" ? { ...observation, stateKey: observation.stateKey.replace(/ in .*/, "") } : observation;
  return {
    id: task.id,
    open() {
      const episode = task.open();
      const random = createRandom(mixSeed(seed, opened++));
      const flipped = (value) => (random.next() < noise ? 1 - value : value);
      return {
        observation: seen(episode.observation),
        step(text) {
          const { reward, verdict, observation, ...rest } = episode.step(text);
          const ended = rest.terminated || rest.truncated;
          const judged = flipped(verdict);
          return {
            ...rest,
            observation: seen(observation),
            verdict: control === "signed" ? 2 * judged - 1 : judged,
            reward: ended ? flipped(reward) : reward,
          };
        },
      };
    },
  };
}

/** Outcomes permuted among the trajectories of a batch and verdicts among its steps: what is still learned was not learned from them. */
function shuffled(groups, random) {
  const trajectories = groups.flatMap((group) => group.trajectories);
  const outcomes = permuted(
    trajectories.map(({ outcome }) => outcome),
    random,
  ).values();
  const verdicts = permuted(
    trajectories.flatMap(({ steps, outcome }) =>
      steps.map(({ reward }, k) => reward - (k === steps.length - 1 ? outcome : 0)),
    ),
    random,
  ).values();
  return groups.map((group) => ({
    ...group,
    trajectories: group.trajectories.map((trajectory) => {
      const outcome = outcomes.next().value;
      const steps = trajectory.steps.map((step, k) => ({
        ...step,
        reward: verdicts.next().value + (k === trajectory.steps.length - 1 ? outcome : 0),
      }));
      return { ...trajectory, outcome, steps };
    }),
  }));
}

function permuted(items, random) {
  const all = [...items];
  for (let i = all.length - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all;
}
