import { AgentError } from "@afterstate/core";
import type { PolicyRuntime, PolicyWeights } from "../types.js";
import type { VersionStore } from "../versions/version-store.js";

/** The versions that are loaded into a policy, with what training and rolling back need of them. */
export interface ServedVersions {
  /** The version that came with the policy. */
  readonly base: string;
  readonly reference: PolicyWeights;
  /** The optimizer's state of the serving version, if it is known. */
  optimizer: PolicyWeights | undefined;
  /** That of the candidate on trial, since this process made it. */
  trialOptimizer: PolicyWeights | undefined;
  load(version: string, weights: PolicyWeights): void;
  unload(version: string): void;
  /** Loads a version from the store if need be. @throws AgentError `policy/unknown-version`, `checkpoint/corrupt`. */
  bringBack(version: string): Promise<void>;
  /** Parent, parent's parent and so on. */
  ancestorsOf(version: string): Promise<readonly string[]>;
  remember(version: string, ancestors: readonly string[]): void;
  readonly loaded: ReadonlySet<string>;
  /** Takes over what an earlier account of the same policy has loaded. */
  inherit(earlier: ServedVersions): void;
  /** Unloads what is neither base nor in use nor, where there is no store to bring it back, among the newest `keep`. */
  trim(inUse: readonly string[], keep: number): void;
}

/** Keeps account of a policy's versions. @param came the version that came with the policy. */
export function servedVersions(
  policy: PolicyRuntime,
  store: VersionStore | undefined,
  came: { readonly version: string; readonly weights: PolicyWeights },
): ServedVersions {
  const { version: base, weights: reference } = came;
  const loaded = new Set([base]);
  const lineage = new Map<string, readonly string[]>([[base, []]]);
  const versions: ServedVersions = {
    base,
    reference,
    optimizer: undefined,
    trialOptimizer: undefined,
    load(version, weights) {
      policy.load(version, weights);
      loaded.add(version);
    },
    unload(version) {
      if (loaded.delete(version)) policy.unload(version);
    },
    async bringBack(version) {
      if (loaded.has(version)) return;
      if (store === undefined)
        throw new AgentError(
          "policy/unknown-version",
          `policy version "${version}" is not loaded and nothing is stored`,
        );
      versions.load(version, await store.weights(version, reference));
    },
    async ancestorsOf(version) {
      return lineage.get(version) ?? (await store?.manifest(version))?.ancestors ?? [];
    },
    remember: (version, ancestors) => void lineage.set(version, ancestors),
    loaded,
    inherit(earlier) {
      for (const version of earlier.loaded) loaded.add(version);
    },
    trim(inUse, keep) {
      const spare = [...loaded].filter((version) => version !== base && !inUse.includes(version));
      const kept = store === undefined ? keep : 0;
      for (const version of spare.slice(0, Math.max(0, spare.length - kept))) {
        versions.unload(version);
        lineage.delete(version);
      }
    },
  };
  return versions;
}
