import type { Clock } from "@afterstate/core";
import { GatewayError } from "./gateway-error.js";

/** How much a gateway takes on. */
export interface AdmissionLimits {
  /** Of one key, as a mean; that many may come at once. */
  readonly requestsPerMinute: number;
  /** Requests of one key that run or wait. */
  readonly concurrencyPerKey: number;
  /** Requests that run side by side. */
  readonly running: number;
  /** Requests that wait for their turn. */
  readonly queued: number;
}

/** Lets requests in, in the order in which they came, and refuses what is too much. */
export interface Admission {
  /** Resolves with the function that gives the place back. @throws GatewayError 429, or the signal's reason. */
  enter(scope: string, signal: AbortSignal): Promise<() => void>;
  readonly running: number;
  readonly queued: number;
}

interface Key {
  /** Requests that may come at once, refilled with time (token bucket). */
  allowance: number;
  refilledAt: number;
  present: number;
}

const MINUTE_MS = 60_000;

/** An admission in which nobody is yet. */
export function openAdmission(limits: AdmissionLimits, clock: Clock): Admission {
  const keys = new Map<string, Key>();
  const queue: { readonly start: () => void }[] = [];
  let running = 0;
  const perMs = limits.requestsPerMinute / MINUTE_MS;

  const spend = (scope: string): Key => {
    const now = clock.now();
    const key = keys.get(scope) ?? { allowance: limits.requestsPerMinute, refilledAt: now, present: 0 };
    keys.set(scope, key);
    key.allowance = Math.min(limits.requestsPerMinute, key.allowance + Math.max(0, now - key.refilledAt) * perMs);
    key.refilledAt = now;
    if (key.allowance < 1) {
      const seconds = Math.max(1, Math.ceil((1 - key.allowance) / perMs / 1000));
      throw tooMany(`more than ${limits.requestsPerMinute} requests a minute`, seconds);
    }
    if (key.present >= limits.concurrencyPerKey)
      throw tooMany(`more than ${limits.concurrencyPerKey} requests at once`, 1);
    if (running >= limits.running && queue.length >= limits.queued) throw tooMany("more requests than can wait", 1);
    key.allowance -= 1;
    key.present += 1;
    return key;
  };

  return {
    async enter(scope, signal) {
      signal.throwIfAborted();
      const key = spend(scope);
      if (running >= limits.running) {
        try {
          await turn(queue, signal);
        } catch (cause) {
          key.present -= 1;
          throw cause;
        }
      }
      running += 1;
      let left = false;
      return () => {
        if (left) return;
        left = true;
        running -= 1;
        key.present -= 1;
        queue.shift()?.start();
      };
    },
    get running() {
      return running;
    },
    get queued() {
      return queue.length;
    },
  };
}

/** Waits in the queue. */
function turn(queue: { readonly start: () => void }[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const waiting = {
      start() {
        signal.removeEventListener("abort", leave);
        resolve();
      },
    };
    const leave = () => {
      queue.splice(queue.indexOf(waiting), 1);
      reject(signal.reason);
    };
    signal.addEventListener("abort", leave, { once: true });
    queue.push(waiting);
  });
}

function tooMany(what: string, retryAfterSeconds: number): GatewayError {
  return new GatewayError(429, `${what}; try again in ${retryAfterSeconds} s`, {
    apiCode: "rate_limit_exceeded",
    retryAfterSeconds,
  });
}
