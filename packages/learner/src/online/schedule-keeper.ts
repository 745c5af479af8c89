import { type Clock, sleep, systemClock } from "@afterstate/core";
import { assertSchedule, type UpdateSchedule, waitFor } from "../safety/update-schedule.js";
import type { PolicyTrainer } from "../types.js";

/** Keeps updates to their schedule: when they may start, and whether one that runs has to wait. */
export class ScheduleKeeper {
  readonly #schedule: UpdateSchedule | undefined;
  readonly #clock: Clock;
  readonly #trainer: PolicyTrainer;
  readonly #onOpen: () => void;
  readonly #end = new AbortController();
  #lastActivity: number;
  #waiting = false;
  #paused = false;

  /** @param onOpen is called when updates may start after they were kept from it. */
  constructor(
    schedule: UpdateSchedule | undefined,
    clock: Clock = systemClock,
    trainer: PolicyTrainer,
    onOpen: () => void,
  ) {
    if (schedule !== undefined) assertSchedule(schedule);
    this.#schedule = schedule;
    this.#clock = clock;
    this.#trainer = trainer;
    this.#onOpen = onOpen;
    this.#lastActivity = clock.now();
  }

  /** Something happened: an update that waits for idleness waits on, and one that runs is held. */
  noteActivity(): void {
    this.#lastActivity = this.#clock.now();
    if ((this.#schedule?.idleMs ?? 0) > 0 && !this.mayUpdate()) this.#hold();
  }

  /** Whether an update may start now; when it may not, `onOpen` is called once it may. */
  mayUpdate(): boolean {
    if (this.#schedule === undefined || this.#end.signal.aborted) return true;
    const wait = waitFor(this.#schedule, this.#clock.now(), this.#lastActivity);
    if (wait > 0 && !this.#waiting) void this.#waitThenOpen(wait);
    return wait === 0;
  }

  /** Holds an update that runs, whatever the schedule says. */
  pause(paused: boolean): void {
    this.#paused = paused;
    this.#hold();
  }

  /** Holds nothing any more. */
  end(): void {
    this.#end.abort();
    this.#trainer.hold?.(false);
  }

  #hold(): void {
    this.#trainer.hold?.(this.#paused || !this.mayUpdate());
  }

  async #waitThenOpen(wait: number): Promise<void> {
    this.#waiting = true;
    try {
      await sleep(this.#clock, wait, this.#end.signal);
    } catch {
      return; // the learner stopped
    } finally {
      this.#waiting = false;
    }
    if (!this.mayUpdate()) return;
    this.#hold();
    this.#onOpen();
  }
}
