import { createDecoder, type Decoder, type Feed, type Slot } from "../engine/decoder.js";
import type { Machine } from "../engine/machine.js";
import { packInputs } from "../engine/packed-tokens.js";
import { createScorer, type Scorer } from "../engine/scorer.js";
import { placeFrozen } from "../engine/weights.js";
import { type Row, rowOf, sampleOf, sampleToken } from "../tensor/sample-token.js";
import type { TransformerConfig } from "../tensor/transformer-config.js";
import { othersTurn } from "./others-turn.js";
import { openPromptLookup, type PromptLookup, worthDrafting } from "./prompt-lookup.js";
import type { SamplingEngine, SamplingOptions, ScoredRow, Waiting } from "./sampling-engine.js";

/** Prompt tokens that one round takes in, and prompts are cut into: what others wait for their next token is bounded by it. */
const PROMPT_TOKENS = 256;
/** Prompt tokens that a round takes in at most beyond the first prompt's when nobody waits for any of its responses. */
const BACKGROUND_PROMPT_TOKENS = 32;
/** Responses that nobody waits for are sampled so many at a time, */
const BACKGROUND_ROWS = 8;
/** and while somebody waits for others, a round of them is followed by a rest so many times as long. */
const BACKGROUND_REST = 3;

/** A response that is being sampled. */
interface Running {
  readonly waiting: Waiting;
  readonly row: Row;
  readonly slot: Slot;
  /** Guesses what comes next; undefined without speculation. */
  readonly lookup: PromptLookup | undefined;
  /** Prompt tokens that the slot has seen. */
  fed: number;
}

/** Tokens that a response is given in one round: a part of its prompt, or its last token and guesses at the next ones. */
interface Turn {
  readonly one: Running;
  readonly feed: Feed;
  readonly draft: readonly number[];
}

/**
 * Samples on the CPU engine, with continuous batching: a request joins those that run at the next token, and leaves them when it
 * ends. What a request samples does not depend on its neighbours, in any bit of a log-probability: each has its own random stream,
 * a prompt is cut in the same places whatever runs beside it, and the decoder keeps sequences apart.
 *
 * With speculation (arXiv:2211.17192) the decoder computes guesses at the next tokens together with the last one. A guess is one token,
 * not a distribution, so the rule of acceptance comes down to drawing each token as always and going on while the guess was it: the same
 * draws from the same scores, hence the same response to the bit, in fewer passes where text repeats itself.
 */
export function engineSampling(
  machine: Machine,
  { config, base, maxBatch, speculation = true }: SamplingOptions,
): SamplingEngine {
  const frozen = base && placeFrozen(machine, base);
  /** Requests that somebody waits for, whatever version answers. */
  let awaited = 0;

  return {
    load(weights) {
      const own = placeFrozen(machine, weights);
      const placed = new Map([...(frozen?.placed ?? []), ...own.placed]);
      const decoder = createDecoder(machine, config, placed);
      let scorer: Scorer | undefined;
      const queue: Waiting[] = [];
      const running: Running[] = [];
      let sampling = false;

      const drain = async () => {
        if (sampling) return;
        sampling = true;
        for (;;) {
          await othersTurn(); // others get their turn, and may join
          for (
            let next = nextOf(queue, running);
            running.length < maxBatch && next >= 0;
            next = nextOf(queue, running)
          ) {
            if (!admit(queue[next]!)) break;
            queue.splice(next, 1);
          }
          if (running.length === 0) break;
          try {
            const isBackground = running.every(({ waiting }) => waiting.request.background);
            const startedAt = performance.now();
            round(decoder, running, config, isBackground ? BACKGROUND_PROMPT_TOKENS : PROMPT_TOKENS);
            if (isBackground && awaited > 0) await rest(BACKGROUND_REST * (performance.now() - startedAt));
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
          const lookup = speculation ? openPromptLookup(promptIds) : undefined;
          running.push({ waiting, row: rowOf(waiting.request), slot, lookup, fed: 0 });
        } catch (cause) {
          if (running.length > 0) return false;
          waiting.reject(cause);
        }
        return true;
      };

      return {
        async sample(request) {
          const own = request.background ? 0 : 1;
          awaited += own;
          try {
            return await new Promise((resolve, reject) => {
              queue.push({ request, resolve, reject });
              void drain();
            });
          } finally {
            awaited -= own;
          }
        },
        async score(rows) {
          scorer ??= createScorer(machine, config, placed);
          return scoreResponses(scorer, rows);
        },
        free() {
          scorer?.free();
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

/** The place in the queue of the request that may run next; -1 for none. */
function nextOf(queue: readonly Waiting[], running: readonly Running[]): number {
  const inBackground = running.filter(({ waiting }) => waiting.request.background).length;
  return queue.findIndex(({ request }) => !request.background || inBackground < BACKGROUND_ROWS);
}

const rest = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** log π of the tokens of responses, in one pass over all of them. */
function scoreResponses(scorer: Scorer, rows: readonly ScoredRow[]): readonly (readonly number[])[] {
  const tokens = packInputs(rows.map(({ promptIds, ids }) => [...promptIds, ...ids]));
  const each = <T>(value: (row: ScoredRow, t: number, start: number) => T) =>
    rows.flatMap((row, index) => row.ids.map((_, t) => value(row, t, tokens.sequences[index]!.start)));
  const logProbs = scorer.score(tokens, {
    rows: Int32Array.from(each(({ promptIds }, t, start) => start + promptIds.length + t - 1)),
    targets: Int32Array.from(each(({ ids }, t) => ids[t]!)),
    inverseTemperatures: Float32Array.from(each(({ temperature }) => 1 / temperature)),
  });
  let end = 0;
  return rows.map(({ ids }) => {
    end += ids.length;
    return [...logProbs.subarray(end - ids.length, end)];
  });
}

/** One more token of every response or more, and a part of the prompts that are not in yet. Takes out what has ended. */
function round(decoder: Decoder, running: Running[], config: TransformerConfig, promptTokens: number): void {
  for (const { row } of running) if (row.request.signal?.aborted === true) row.stoppedBy = "abort";
  takeOut(running);
  const turns = turnsOf(running, promptTokens);
  if (turns.length === 0) return;
  const scores = decoder.decode(turns.map(({ feed }) => feed));
  let at = 0;
  for (const { one, draft } of turns) {
    const { row, slot, lookup } = one;
    const first = at;
    at += (1 + draft.length) * config.vocab_size;
    if (one.fed < row.request.promptIds.length) continue;
    for (let t = 0; t <= draft.length; t++) {
      const from = first + t * config.vocab_size;
      sampleToken(row, scores.subarray(from, from + config.vocab_size), config.max_position_embeddings);
      if (row.stoppedBy !== undefined) break;
      lookup?.add(row.ids.at(-1)!);
      if (row.ids.at(-1) !== draft[t]) break;
    }
    slot.rollBack(one.fed + row.ids.length - 1); // the last token is not fed yet
  }
  takeOut(running);
}

/** What each response is given next. Prompts take turns when they are too long together. */
function turnsOf(running: readonly Running[], promptTokens: number): readonly Turn[] {
  let taken = 0;
  return running.flatMap((one): readonly Turn[] => {
    const { row, slot, lookup } = one;
    const { promptIds, maxTokens } = row.request;
    if (one.fed === promptIds.length) {
      const most = Math.min(slot.capacity - slot.length, maxTokens - row.ids.length) - 1;
      const draft = lookup?.draft(Math.min(most, worthDrafting(lookup.accuracy, running.length))) ?? [];
      return [{ one, feed: { slot, ids: [row.ids.at(-1)!, ...draft], each: true }, draft }];
    }
    const part = promptIds.slice(one.fed, one.fed + PROMPT_TOKENS);
    if (taken > 0 && taken + part.length > promptTokens) return [];
    taken += part.length;
    one.fed += part.length;
    return [{ one, feed: { slot, ids: part }, draft: [] }];
  });
}

/** Resolves responses that have ended. */
function takeOut(running: Running[]): void {
  const ended = running.filter(({ row }) => row.stoppedBy !== undefined);
  for (const one of ended) {
    running.splice(running.indexOf(one), 1);
    one.slot.free();
    one.waiting.resolve(sampleOf(one.row));
  }
}
