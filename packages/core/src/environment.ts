/** What an environment shows after a reset or a step. */
export interface EnvironmentStep<O> {
  readonly observation: O;
  readonly reward: number;
  /** Ended by itself. */
  readonly terminated: boolean;
  /** Cut by a limit; the value of the last observation is bootstrapped then. */
  readonly truncated: boolean;
}

/**
 * Anything that can be stepped: what planners search in and trainers roll out in.
 * `O` is the observation, `A` the action.
 */
export interface Environment<O, A> {
  reset(seed: number): O;
  step(action: A): EnvironmentStep<O> | Promise<EnvironmentStep<O>>;
  /** The actions that are legal now, in a fixed order. */
  legalActions(): readonly A[];
  /** An independent copy in the same state. Planners need it. */
  fork(): Environment<O, A>;
}
