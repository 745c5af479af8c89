import { createDecoder, type Decoder, type Feed, type Slot } from "../engine/decoder.js";
import type { Machine } from "../engine/machine.js";
import { placeFrozen } from "../engine/weights.js";
import { type Row, rowOf, sampleToken } from "../tensor/sample-token.js";
import type { SamplingEngine, SamplingOptions, Waiting } from "./sampling-engine.js";

/** Prompt tokens that one round takes in, and prompts are cut into: what others wait for their next token is bounded by it. */
const PROMPT_TOKENS = 256;

/** A response that is being sampled. */
interface Running {
  readonly waiting: Waiting;
  readonly row: Row;
  readonly slot: Slot;
  /** Prompt tokens that the slot has seen. */
  fed: number;
}

/**
 * Samples on the CPU engine, with continuous batching: a request joins those that run at the next token, and leaves them when it
 * ends. What a request samples does not depend on its neighbours, in any bit of a log-probability: each has its own random stream,
 * a prompt is cut in the same places whatever runs beside it, and the decoder keeps sequences apart.
 */
export function engineSampling(machine: Machine, { config, base, maxBatch }: SamplingOptions): SamplingEngine {
  const frozen = base && placeFrozen(machine, base);

  return {
    load(weights) {
      const own = placeFrozen(machine, weights);
      const decoder = createDecoder(machine, config, new Map([...(frozen?.placed ?? []), ...own.placed]));
      const queue: Waiting[] = [];
      const running: Running[] = [];
      let sampling = false;

      const drain = async () => {
        if (sampling) return;
        sampling = true;
        for (;;) {
          await new Promise<void>((resolve) => setImmediate(resolve)); // others get their turn, and may join
          while (running.length < maxBatch && queue.length > 0 && admit(queue[0]!)) queue.shift();
          if (running.length === 0) break;
          try {
            round(decoder, running, config.max_position_embeddings);
          } catch (cause) {
            for (const { waiting, slot } of running.splice(0)) {
              slot.free();
              waiting.reject(cause);
            }
          }
        }
        sampling = false;
      };

      /** Gives a request a slot with room for its whole response. @returns false when it has to wait for others to end. */
      const admit = (waiting: Waiting): boolean => {
        const { promptIds, maxTokens } = waiting.request;
        try {
          const slot = decoder.openSlot(Math.min(config.max_position_embeddings, promptIds.length + maxTokens));
          running.push({ waiting, row: rowOf(waiting.request), slot, fed: 0 });
        } catch (cause) {
          if (running.length > 0) return false;
          waiting.reject(cause);
        }
        return true;
      };

      return {
        sample: (request) =>
          new Promise((resolve, reject) => {
            queue.push({ request, resolve, reject });
            void drain();
          }),
        free() {
          decoder.free();
          own.free();
        },
      };
    },
    dispose() {
      frozen?.free();
      machine.dispose();
    },
  };
}

/** One more token of every response, and a part of the prompts that are not in yet. Takes out what has ended. */
function round(decoder: Decoder, running: Running[], maxPositions: number): void {
  for (const { row } of running) if (row.request.signal?.aborted === true) row.stoppedBy = "abort";
  takeOut(running);
  let room = PROMPT_TOKENS;
  const chosen: Running[] = [];
  const feeds: Feed[] = [];
  for (const one of running) {
    const { promptIds } = one.row.request;
    const decodes = one.fed === promptIds.length;
    const part = promptIds.slice(one.fed, one.fed + PROMPT_TOKENS);
    if (!decodes && room < PROMPT_TOKENS && part.length > room) continue;
    feeds.push({ slot: one.slot, ids: decodes ? [one.row.ids.at(-1)!] : part });
    chosen.push(one);
    room -= part.length;
    one.fed += part.length;
  }
  if (feeds.length === 0) return;
  const scores = decoder.decode(feeds);
  const vocab = scores.length / feeds.length;
  chosen.forEach(({ row, fed }, index) => {
    if (fed < row.request.promptIds.length) return;
    sampleToken(row, scores.subarray(index * vocab, (index + 1) * vocab), maxPositions);
  });
  takeOut(running);
}

/** Resolves responses that have ended. */
function takeOut(running: Running[]): void {
  const ended = running.filter(({ row }) => row.stoppedBy !== undefined);
  for (const one of ended) {
    const { ids, logProbs, stoppedBy } = one.row;
    running.splice(running.indexOf(one), 1);
    one.slot.free();
    one.waiting.resolve({ ids, logProbs, stoppedBy: stoppedBy! });
  }
}
