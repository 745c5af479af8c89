import { AgentError, messageOf } from "./errors.js";

/** One run's abort signal with a single listener, however many waits it cuts short. Owns that listener until `dispose()`. */
export class AbortWatch {
  readonly signal: AbortSignal;
  readonly #isWatched: boolean;
  readonly #cuts = new Set<() => void>();

  /** @param signal what the caller may abort; without one nothing is ever aborted. */
  constructor(signal: AbortSignal | undefined) {
    this.signal = signal ?? new AbortController().signal;
    this.#isWatched = signal !== undefined;
    if (this.#isWatched) this.signal.addEventListener("abort", this.#onAbort);
  }

  get aborted(): boolean {
    return this.#isWatched && this.signal.aborted;
  }

  /** Why the run was aborted, in words. */
  get reason(): string {
    return messageOf(this.signal.reason);
  }

  /** Runs `cut` when the signal aborts. @returns a function that takes it back. */
  onAbort(cut: () => void): () => void {
    if (!this.#isWatched) return nothing;
    if (this.signal.aborted) cut();
    else this.#cuts.add(cut);
    return () => void this.#cuts.delete(cut);
  }

  /**
   * Settles like `work`, but rejects with `agent/aborted` once the signal aborts, whether or not `work` heeds it.
   *
   * @param graceMs how long `work` may still take after the abort.
   */
  race<T>(work: Promise<T>, graceMs = 0): Promise<T> {
    if (!this.#isWatched) return work;
    return new Promise<T>((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const giveUp = () => reject(new AgentError("agent/aborted", `the run was aborted: ${this.reason}`));
      const takeBack = this.onAbort(() => {
        if (graceMs === 0) giveUp();
        else timer = setTimeout(giveUp, graceMs);
      });
      work.then(resolve, reject).finally(() => {
        takeBack();
        clearTimeout(timer);
      });
    });
  }

  dispose(): void {
    if (this.#isWatched) this.signal.removeEventListener("abort", this.#onAbort);
    this.#cuts.clear();
  }

  readonly #onAbort = () => {
    for (const cut of this.#cuts) cut();
    this.#cuts.clear();
  };
}

const nothing = () => {};
