/** One step under optimisation: what was sampled, with its credit. Arrays run over its response. [tokens] */
export interface PolicyLossRow {
  readonly promptIds: readonly number[];
  readonly ids: readonly number[];
  readonly mask: readonly number[];
  /** At which the ids were sampled; log-probabilities are those at this temperature. */
  readonly temperature: number;
  readonly advantages: readonly number[];
  /** The prompt with the hint in it; absent when there is none. */
  readonly teacherPromptIds?: readonly number[];
  /** What the teacher counts, 0–1. Default 1. */
  readonly teacherWeight?: number;
  /** What another teacher finds likeliest, in place of the policy that sees a hint: see `TrainingSample`. */
  readonly teacherTopK?: {
    readonly ids: readonly (readonly number[])[];
    readonly logProbs: readonly (readonly number[])[];
  };
}

/** Whether anybody teaches a row. */
export function hasTeacher({ teacherPromptIds, teacherTopK }: PolicyLossRow): boolean {
  return teacherPromptIds !== undefined || teacherTopK !== undefined;
}

/** What the teacher of a row is scored on: a teacher of whom K tokens are known has the rest from the policy at its own prompt. */
export function teacherPrompt({ promptIds, teacherPromptIds, teacherTopK }: PolicyLossRow): readonly number[] {
  return teacherTopK === undefined ? (teacherPromptIds ?? promptIds) : promptIds;
}
