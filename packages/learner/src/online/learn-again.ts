import { AgentError } from "@afterstate/core";
import type { PolicyRuntime } from "../types.js";
import { advance } from "./advance.js";
import { type LearnerParts, openParts } from "./learner-parts.js";
import { recoverLearner } from "./recover-learner.js";

/**
 * Honours the wishes to unlearn users that the line does not know of. Where something was learned from one of them, learning is done
 * again from the base, over the log without them, into a new line of versions, while the old version serves; then the new line takes its
 * place on disk at once. The signals that the log has are taken as they are. The parts are to be opened anew after it.
 *
 * @returns whether it is done: not so when it was stopped, to go on at the next start.
 */
export async function honourWishes(parts: LearnerParts, isStopped: () => boolean): Promise<boolean> {
  const { ledger, unlearned } = parts;
  if (await hasLearnedFrom(parts)) return learnAgain(parts, isStopped);
  await ledger.commit({ unlearnedUpTo: unlearned.upTo, gained: {}, events: [] });
  return true;
}

/** Whether episodes were consumed that wishes ask to unlearn. */
async function hasLearnedFrom({ options, ledger, unlearned }: LearnerParts): Promise<boolean> {
  const sessions = unlearned.sessionsSince(ledger.pointer.unlearnedUpTo);
  for await (const { event, offset } of options.log.read(0)) {
    if (event.type !== "episode-start" || !sessions.has(event.sessionId)) continue;
    if (ledger.isConsumed(event.episodeId, offset)) return true;
  }
  return false;
}

async function learnAgain(parts: LearnerParts, isStopped: () => boolean): Promise<boolean> {
  const { options, ledger, unlearned, surroundings } = parts;
  const { base } = surroundings;
  const old = ledger.pointer;
  const { line, store } = await requireStore(options).nextLine(unlearned.upTo);
  const policy = rehearsal(options.policy, base.version);
  // Nobody is there to try a candidate on: the gate decides.
  const { canary: _, ...lasting } = options;
  const again = openParts(
    { ...lasting, policy, store, ...(options.head && { head: options.head.fresh() }) },
    {
      ...surroundings,
      emit: async (event) => (event.type === "signal" ? surroundings.emit(event) : undefined),
      isJudged: ({ episodeId, offset }) => ledger.isConsumed(episodeId, offset),
    },
  );
  try {
    again.ledger.beginLine(line, unlearned.upTo);
    await recoverLearner(again);
    await advance(again, isStopped, () => true);
    if (isStopped()) return false;
    const { version, ancestors } = again.ledger.pointer;
    const served = { type: "policy-promotion", version, parent: ancestors[0] ?? base.version, gate: {} } as const;
    const nothing = {
      type: "policy-rollback",
      from: old.version,
      to: version,
      reason: "a user was unlearned",
    } as const;
    await again.ledger.commit({ gained: {}, events: [version === base.version ? nothing : served] });
  } finally {
    policy.serve(base.version);
    again.versions.trim([base.version], 0);
  }
  await requireStore(options).adoptNextLine();
  return true;
}

/** The store of a learner. @throws AgentError `learner/no-store` without one. */
export function requireStore<T>({ store }: { readonly store?: T }): T {
  if (store !== undefined) return store;
  throw new AgentError(
    "learner/no-store",
    "a learner without a store keeps too little to make a version again; give it one by openVersionStore(…)",
  );
}

/** A policy on which versions can be loaded, measured and promoted while the policy itself goes on serving what it served. */
function rehearsal(policy: PolicyRuntime, base: string): PolicyRuntime {
  let serving = base;
  return {
    backend: policy.backend,
    get serving() {
      return serving;
    },
    get versions() {
      return policy.versions;
    },
    load: (version, weights) => policy.load(version, weights),
    serve(version) {
      policy.weights(version);
      serving = version;
    },
    unload: (version) => policy.unload(version),
    weights: (version) => policy.weights(version),
    score: (version, responses) => policy.score(version, responses),
    model: (version) => policy.model(version ?? serving),
    tokenBytes: (id) => policy.tokenBytes(id),
    encodePrompt: (messages, tools) => policy.encodePrompt(messages, tools),
    dispose() {},
  };
}
