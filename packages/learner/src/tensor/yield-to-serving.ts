import { createRequire } from "node:module";
import { constants, setPriority } from "node:os";

/** From linux/sched.h. */
const SCHED_IDLE = 5;

/**
 * Puts the calling thread, and those that it starts from now on, behind all threads that serve. Linux gives priorities to threads; elsewhere
 * a priority is the whole process's, serving included, and stays as it is.
 *
 * A thread with little weight still keeps its core for milliseconds while one that serves wakes up; an idle one leaves it at once, and
 * runs when nobody else does.
 */
export function yieldToServing(): void {
  if (process.platform !== "linux" || becomeIdle()) return;
  try {
    setPriority(0, constants.priority.PRIORITY_LOW);
  } catch {
    // Where that is forbidden, training competes with serving as an equal.
  }
}

/** @returns false where the system does not let it, or cannot be asked. */
function becomeIdle(): boolean {
  try {
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    const setScheduler = koffi.load(null).func("int sched_setscheduler(int, int, int *)");
    return setScheduler(0, SCHED_IDLE, new Int32Array([0])) === 0;
  } catch {
    return false;
  }
}
