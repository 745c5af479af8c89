/** What a learner warns of. */
export type AlarmName =
  | "forgetting"
  | "reward-hacking"
  | "length-drift"
  | "repetition"
  | "entropy-collapse"
  | "kl-drift"
  | "judge-disagreement"
  | "poisoned-feedback";

/** Something that a person should look at. `critical`: the learner kept something from being trained on or served. */
export interface Alarm {
  readonly name: AlarmName;
  readonly severity: "warning" | "critical";
  /** A sentence. */
  readonly message: string;
  readonly numbers: Readonly<Record<string, number>>;
}
