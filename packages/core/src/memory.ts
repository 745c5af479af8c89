import type { Message } from "./message.js";
import type { NextState, StepRef } from "./step.js";

/** Whose memory it is. A memory of one user is never shown to another. */
export interface MemoryScope {
  readonly userId: string;
  readonly sessionId?: string;
}

/** One memory. */
export interface MemoryRecord {
  readonly id: string;
  readonly text: string;
  readonly scope: MemoryScope;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** When it stopped being true; absent while it holds. Nothing is destroyed. */
  readonly endedAt?: number;
  /** The step that wrote it. */
  readonly writtenBy?: StepRef;
}

/** What a memory write did. */
export type MemoryOperation =
  | { readonly kind: "add"; readonly record: MemoryRecord }
  | { readonly kind: "update"; readonly record: MemoryRecord; readonly previous: MemoryRecord }
  | { readonly kind: "delete"; readonly record: MemoryRecord }
  | { readonly kind: "noop"; readonly reason: string };

/** Long-term memory as the loop uses it; provided under the service key `MEMORY`. */
export interface Memory {
  /** Memories that help with `query`, best first. Must return only records of `scope`. */
  recall(request: {
    readonly query: string;
    readonly scope: MemoryScope;
    readonly limit: number;
    readonly signal: AbortSignal;
  }): Promise<readonly MemoryRecord[]>;
  /** Reads facts off what just happened and writes them. */
  remember(request: {
    readonly scope: MemoryScope;
    readonly messages: readonly Message[];
    readonly nextState: NextState;
    readonly writtenBy: StepRef;
    readonly signal: AbortSignal;
  }): Promise<readonly MemoryOperation[]>;
}
