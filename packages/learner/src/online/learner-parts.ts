import type { AgentEvent } from "@afterstate/core";
import type { Backlog } from "./backlog.js";
import type { ConsumedEpisodes } from "./consumed-episodes.js";
import type { EpisodeFold } from "./episode-fold.js";
import type { HeldOutGate } from "./held-out-gate.js";
import type { OnlineLearnerOptions } from "./learner-options.js";
import type { Ledger } from "./ledger.js";
import type { LogReader } from "./log-reader.js";
import type { ServedVersions } from "./served-versions.js";

/** What the tasks of a running learner work on; one task at a time. */
export interface LearnerParts {
  readonly options: OnlineLearnerOptions;
  readonly ledger: Ledger;
  readonly versions: ServedVersions;
  readonly fold: EpisodeFold;
  readonly backlog: Backlog;
  readonly consumed: ConsumedEpisodes;
  readonly gate: HeldOutGate;
  readonly reader: LogReader;
  now(): number;
  /** Tells of an event through the agent. */
  emit(event: AgentEvent): Promise<void>;
  /** Tells of a failure that was got over. Must not throw. */
  tellFailure(cause: unknown): Promise<undefined>;
}
