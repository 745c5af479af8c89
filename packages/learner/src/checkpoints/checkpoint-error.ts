import { AgentError } from "@afterstate/core";

/** Where a checkpoint is wrong, and how. */
export interface CheckpointFacts {
  readonly file: string;
  readonly tensor?: string;
  /** What the place is called when it is no tensor: a metadata key, a field of the configuration. */
  readonly field?: string;
  readonly expected: string;
  readonly found: string;
  readonly remedy?: string;
  readonly cause?: unknown;
}

const REMEDIES = {
  corrupt: "put an intact copy of the file in its place",
  mismatch: "use files that belong to the same model",
  unsupported: "use a model of a supported kind",
  missing: "add it, or name another model",
  download: "check the connection and the name, and start again; what has come so far is kept",
};

/** A model file that cannot be read as what it says it is. Its code is `checkpoint/<kind>`. */
export class CheckpointError extends AgentError {
  readonly file: string;
  readonly tensor?: string;
  readonly expected: string;
  readonly found: string;

  constructor(kind: keyof typeof REMEDIES, facts: CheckpointFacts) {
    const { file, tensor, field, expected, found, remedy = REMEDIES[kind], cause } = facts;
    const place = tensor !== undefined ? `, tensor "${tensor}"` : field !== undefined ? `, "${field}"` : "";
    super(`checkpoint/${kind}`, `"${file}"${place}: expected ${expected}, found ${found}; ${remedy}`, {
      cause,
      retryable: kind === "download",
    });
    this.file = file;
    if (tensor !== undefined) this.tensor = tensor;
    this.expected = expected;
    this.found = found;
  }
}
