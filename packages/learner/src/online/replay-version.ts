import { AgentError } from "@afterstate/core";
import type { PolicyWeights } from "../types.js";
import { digestsOf } from "../versions/version-files.js";
import type { VersionStore } from "../versions/version-store.js";
import { requireStore } from "./learn-again.js";
import type { Replay } from "./learner-answers.js";
import type { OnlineLearnerOptions } from "./learner-options.js";
import { updateRequest } from "./make-update.js";
import { batchAgain, episodesOf, type UpdatedBatch } from "./recorded-batch.js";

/** A version's weights, with the optimizer's state where it is known. */
interface State {
  readonly weights: PolicyWeights;
  readonly optimizer: PolicyWeights | undefined;
}

/** Updates whose episodes are held in memory at a time. */
const AT_A_TIME = 32;

/**
 * Makes a version again from the event log and the records of its update and of those before it, and compares it with the checksums of
 * then. It goes on from the nearest ancestor that is stored whole, else from the base. Promises nothing on another backend.
 *
 * @param base the version that came with the policy.
 * @throws AgentError `policy/unknown-version`, `learner/no-store`, `log/corrupt`, `checkpoint/corrupt`.
 */
export async function replayVersion(
  options: Pick<OnlineLearnerOptions, "policy" | "trainer" | "log" | "store">,
  base: { readonly version: string; readonly weights: PolicyWeights },
  version: string,
): Promise<Replay> {
  const store = requireStore(options);
  const { path, from } = await pathTo(store, base, version);
  let state = from;
  for (let at = 0; at < path.length; at += AT_A_TIME) {
    const part = path.slice(at, at + AT_A_TIME);
    const episodes = await episodesOf(options.log, part);
    for (const record of part) {
      const made = await makeAgain(options, base.weights, record, episodes, state);
      if (made.differences.length > 0) return { version, identical: false, differences: made.differences };
      state = made.state;
    }
  }
  return { version, identical: true, differences: [] };
}

/** The updates that lead to a version, oldest first, and the state that the first of them starts from. */
async function pathTo(
  store: VersionStore,
  base: { readonly version: string; readonly weights: PolicyWeights },
  version: string,
): Promise<{ readonly path: readonly UpdatedBatch[]; readonly from: State }> {
  const updates = await updatesOf(store);
  const path: UpdatedBatch[] = [];
  for (let wanted = version; ; ) {
    const record = updates.get(wanted);
    if (record === undefined)
      throw new AgentError(
        "policy/unknown-version",
        `there is no record of how policy version "${wanted}" was made in "${store.directory}"; name one that an update made`,
      );
    path.unshift(record);
    const { parent, withOptimizer } = record.update;
    if (parent === base.version) return { path, from: { weights: base.weights, optimizer: undefined } };
    const from = await storedState(store, parent, base.weights);
    if (from !== undefined && (!withOptimizer || from.optimizer !== undefined)) return { path, from };
    wanted = parent;
  }
}

async function updatesOf(store: VersionStore): Promise<ReadonlyMap<string, UpdatedBatch>> {
  const updates = new Map<string, UpdatedBatch>();
  for (const sequence of await store.batches()) {
    const record = await store.batch(sequence);
    if (record.update !== undefined) updates.set(record.update.candidate, { ...record, update: record.update });
  }
  return updates;
}

/** What is stored of a version; undefined when it was pruned or is damaged. */
async function storedState(store: VersionStore, version: string, like: PolicyWeights): Promise<State | undefined> {
  try {
    return { weights: await store.weights(version, like), optimizer: await store.optimizer(version, like) };
  } catch (cause) {
    if (AgentError.isInstance(cause) && ["policy/unknown-version", "checkpoint/corrupt"].includes(cause.code)) return;
    throw cause;
  }
}

async function makeAgain(
  { policy, trainer }: Pick<OnlineLearnerOptions, "policy" | "trainer">,
  reference: PolicyWeights,
  record: UpdatedBatch,
  episodes: Awaited<ReturnType<typeof episodesOf>>,
  { weights, optimizer }: State,
): Promise<{ readonly state: State; readonly differences: readonly string[] }> {
  const { candidate, recipe, withOptimizer, backend, digests } = record.update;
  const { batch, lacks } = await batchAgain(record, episodes, (messages, tools) =>
    policy.encodePrompt(messages, tools),
  );
  const differences = [...lacks];
  const named = (samples: UpdatedBatch["samples"]) => samples.map(({ of }) => `${of.episodeId}#${of.stepIndex}`);
  const [then, now] = [named(record.samples), named(batch.samples)];
  if (then.join() !== now.join())
    differences.push(
      `${candidate} was trained on ${then.length} samples, and ${now.length} were made again, or others`,
    );
  if (digests === undefined) differences.push(`the record of ${candidate} has no checksums to compare with`);
  if (differences.length > 0) return { state: { weights, optimizer }, differences };
  const from = { weights, reference, optimizer: withOptimizer ? optimizer : undefined };
  const state = await trainer.update(updateRequest(recipe, batch, from));
  const made = digestsOf(state);
  for (const part of ["weights", "optimizer"] as const)
    if (made[part] !== digests![part])
      differences.push(
        `the ${part} of ${candidate} are not what they were: SHA-256 ${made[part]}, then ${digests![part]}`,
      );
  if (differences.length > 0 && backend !== trainer.backend)
    differences.push(`it was trained on ${backend}, and is now on ${trainer.backend}`);
  return { state, differences };
}
