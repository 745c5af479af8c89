/** A measured share with its 95 % interval. */
export interface Estimate {
  /** 0–1. */
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly n: number;
}

/** The learner under test, the control beside it, or the person who types. */
export type Arm = "learner" | "control" | "person";

/** How the agent learns. */
export type LearnerMode = "off" | "reward" | "hints" | "hybrid";

/** What an agent did on the held-out questions. */
export interface Measurement {
  readonly policyVersion: string;
  /** Answered rightly. */
  readonly success: Estimate;
  /** Answered in the way the user wants. */
  readonly preference: Estimate;
  /** Called a tool. */
  readonly toolRate: Estimate;
}

/** A difference of two measured shares over the same questions, with its 95 % interval. In shares, −1 to +1. */
export interface Change {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** One arm before and after its sessions. */
export interface Comparison {
  readonly before: Measurement;
  readonly after: Measurement;
  readonly change: { readonly success: Change; readonly preference: Change };
}

/** Everything the displays are told, one object each. The terminal, the JSON lines and the page all show these and nothing else. */
export type Progress =
  /** Something that takes a moment has begun. */
  | { readonly type: "loading"; readonly text: string }
  /** The agent can be talked to from now on. */
  | {
      readonly type: "ready";
      readonly backend: string;
      readonly learner: LearnerMode;
      readonly control: boolean;
      readonly seed: number;
      readonly parameters: number;
      readonly policyVersion: string;
      readonly heldOut: number;
      /** Sessions that the simulated users will hold; 0 when only a person talks. */
      readonly sessions: number;
      readonly data?: string;
      readonly page: string;
    }
  /** Held-out questions are being asked; nothing is learned from them. */
  | { readonly type: "evaluating"; readonly arm: Arm; readonly completed: number; readonly total: number }
  | ({ readonly type: "evaluation"; readonly arm: Arm; readonly session: number } & Measurement)
  /** One message of a conversation that is being held now. */
  | {
      readonly type: "message";
      readonly arm: Arm;
      readonly sessionId: string;
      readonly from: "user" | "agent" | "tool";
      readonly name: string;
      readonly text: string;
      readonly policyVersion: string;
      /** Present on an agent's answer: the episode that feedback can name. */
      readonly episodeId?: string;
    }
  /** A session ended. Shares are over its questions. */
  | {
      readonly type: "session";
      readonly arm: Arm;
      /** From 1. */
      readonly index: number;
      readonly total: number;
      readonly userId: string;
      readonly questions: number;
      readonly success: number;
      readonly preference: number;
      readonly toolRate: number;
      /** Mean of what the judge read off the reactions, −1 to +1; absent when nothing is judged. */
      readonly reward?: number;
      readonly policyVersion: string;
      readonly refused: number;
    }
  /** The trainer made a candidate, and the gate let it serve or not. */
  | {
      readonly type: "update";
      readonly arm: Arm;
      /** From 1. */
      readonly index: number;
      readonly candidate: string;
      readonly promoted: boolean;
      /** Why it was not promoted. */
      readonly reason?: string;
      readonly samples: number;
      readonly metrics: Readonly<Record<string, number>>;
    }
  /** An earlier version serves again. */
  | {
      readonly type: "rollback";
      readonly arm: Arm;
      readonly from: string;
      readonly to: string;
      readonly reason: string;
    }
  /** Something went wrong that the run survives. */
  | { readonly type: "trouble"; readonly text: string }
  | Summary;

/** What the whole run came to. */
export interface Summary {
  readonly type: "summary";
  readonly backend: string;
  readonly sessions: number;
  readonly updates: number;
  readonly learner: Comparison;
  /** Votes shuffled between steps and no hints read; absent when no control ran. */
  readonly control?: Comparison;
  readonly refused: number;
  readonly samplesLost: number;
  readonly seconds: number;
  /** Why the sessions ended before their number was reached. */
  readonly cut?: string;
}

/** Shows progress somewhere. */
export interface Display {
  /** Must not throw. */
  show(progress: Progress): void;
  /** Leaves the terminal, or the port, as it was found. */
  close(): void | Promise<void>;
}
