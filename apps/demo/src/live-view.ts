import type { CurvePoint } from "./curve.js";
import type { Arm, Progress } from "./progress.js";

/** What the terminal shows of one arm while it learns. */
export interface ArmView {
  readonly session: number;
  readonly total: number;
  readonly updates: number;
  readonly promoted: number;
  readonly refused: number;
  readonly policyVersion: string;
  readonly success: readonly CurvePoint[];
  readonly preference: readonly CurvePoint[];
  readonly toolRate: readonly CurvePoint[];
  /** Reward of each session so far. */
  readonly rewards: readonly number[];
}

/** One line of the conversation feed. */
export interface FeedLine {
  readonly from: "user" | "agent" | "tool";
  readonly name: string;
  readonly text: string;
}

/** Everything the live part of the terminal shows; a function of the progress so far. */
export interface LiveView {
  readonly arm: Arm;
  readonly arms: Readonly<Record<Arm, ArmView>>;
  readonly evaluating?: { readonly completed: number; readonly total: number };
  readonly feed: readonly FeedLine[];
}

/** Lines of the conversation feed that are kept. */
export const FEED_LINES = 6;

const emptyArm: ArmView = {
  session: 0,
  total: 0,
  updates: 0,
  promoted: 0,
  refused: 0,
  policyVersion: "",
  success: [],
  preference: [],
  toolRate: [],
  rewards: [],
};

/** Before anything happened. */
export const emptyView: LiveView = {
  arm: "learner",
  arms: { learner: emptyArm, control: emptyArm, person: emptyArm },
  feed: [],
};

/** The view after one more progress object. */
export function nextView(view: LiveView, progress: Progress): LiveView {
  switch (progress.type) {
    case "ready":
      return change(view, "learner", { total: progress.sessions, policyVersion: progress.policyVersion });
    case "evaluating":
      return { ...view, arm: progress.arm, evaluating: { completed: progress.completed, total: progress.total } };
    case "evaluation": {
      const { evaluating: _, ...rest } = view;
      const arm = view.arms[progress.arm];
      const x = progress.session;
      return change(rest, progress.arm, {
        policyVersion: progress.policyVersion,
        success: [...arm.success, { x, y: progress.success.value }],
        preference: [...arm.preference, { x, y: progress.preference.value }],
        toolRate: [...arm.toolRate, { x, y: progress.toolRate.value }],
      });
    }
    case "session": {
      const { rewards } = view.arms[progress.arm];
      return change(view, progress.arm, {
        session: progress.index,
        total: progress.total,
        refused: progress.refused,
        policyVersion: progress.policyVersion,
        rewards: progress.reward === undefined ? rewards : [...rewards, progress.reward],
      });
    }
    case "update": {
      const arm = view.arms[progress.arm];
      return change(view, progress.arm, {
        updates: progress.index,
        promoted: arm.promoted + (progress.promoted ? 1 : 0),
        ...(progress.promoted ? { policyVersion: progress.candidate } : {}),
      });
    }
    case "message": {
      if (progress.arm === "person") return view;
      const { from, name, text } = progress;
      return { ...view, feed: [...view.feed, { from, name, text }].slice(-FEED_LINES) };
    }
    default:
      return view;
  }
}

function change(view: LiveView, arm: Arm, fields: Partial<ArmView>): LiveView {
  return { ...view, arm, arms: { ...view.arms, [arm]: { ...view.arms[arm], ...fields } } };
}
