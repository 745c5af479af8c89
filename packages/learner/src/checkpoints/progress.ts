/** How far reading a model has come. Of one file at a time. */
export interface ModelProgress {
  readonly stage: "download" | "read";
  readonly file: string;
  /** Bytes. */
  readonly done: number;
  readonly total: number;
}

/** Told at the start of a file, now and then, and at its end. Must not throw. */
export type OnProgress = (progress: ModelProgress) => void;
