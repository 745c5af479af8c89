import type { ToolDefinition } from "@afterstate/core";
import { LRUCache } from "lru-cache";
import type { TokenConstraint } from "../tensor/sample-token.js";
import { advance, type CallGrammar, callGrammar, type Place, START } from "./call-grammar.js";
import type { State } from "./recogniser.js";
import { type TokenTrie, tokenTrie } from "./token-trie.js";

/** What a vocabulary is to a grammar. */
export interface Vocabulary {
  /** What each token writes, see `tokenBytes`; tokens that are absent are sampled in plain text only. */
  readonly bytes: ReadonlyMap<number, string>;
  readonly size: number;
  /** Each of them ends a response. */
  readonly stopIds: ReadonlySet<number>;
}

/** Makes grammars of tools over one vocabulary. */
export interface ToolCallConstraints {
  /**
   * Lets a response be any text, but each call that it begins one that can be read: JSON of one of the tools, of the shape of its input. A
   * call is closed before the tokens run out, and none is begun that cannot be; where the vocabulary cannot spell what is expected, the
   * response is free again.
   *
   * @param room tokens of the longest response.
   */
  constrain(tools: readonly ToolDefinition[], room: number): TokenConstraint;
}

/** Grammars, and places in each, that are kept. */
const GRAMMARS = 16;
const PLACES = 64;

/** A grammar with what was found out about its places: how many tokens its end takes after each token, −1 where that is refused. [vocab] */
interface Known {
  readonly grammar: CallGrammar;
  readonly places: LRUCache<string, Int32Array>;
}

/** Opens grammars over a vocabulary. It is laid out when a call begins for the first time. */
export function toolCallConstraints(
  format: "hermes" | "llama3" | "smollm2",
  { bytes, size, stopIds }: Vocabulary,
): ToolCallConstraints {
  const grammars = new LRUCache<string, Known>({ max: GRAMMARS });
  const ends = new WeakMap<State, number>();
  let laidOut: TokenTrie | undefined;
  const trie = (): TokenTrie => {
    laidOut ??= tokenTrie(new Map([...bytes].filter(([id]) => !stopIds.has(id))));
    return laidOut;
  };
  const grammarOf = (tools: readonly ToolDefinition[]): Known => {
    const key = JSON.stringify(tools.map(({ name, inputSchema }) => [name, inputSchema]));
    const known = grammars.get(key) ?? { grammar: callGrammar(format, tools), places: new LRUCache({ max: PLACES }) };
    grammars.set(key, known);
    return known;
  };

  /** Tokens that surely suffice to end a place's call: those of its shortest end. */
  const left = ({ call }: Place): number => {
    if (call === undefined || call.shortest === "") return 0;
    const count = ends.get(call) ?? Math.min(trie().count(call.shortest), 2 ** 30);
    ends.set(call, count);
    return count;
  };
  const leftAfterEach = ({ grammar, places }: Known, place: Place): Int32Array => {
    const key = `${place.blank} ${place.begun} ${place.call?.key}`;
    const found = places.get(key);
    if (found !== undefined) return found;
    const lengths = new Int32Array(size).fill(place.call === undefined ? 0 : -1);
    for (const id of bytes.keys()) lengths[id] = -1;
    for (const id of stopIds) lengths[id] = left(place) === 0 ? 0 : -1;
    trie().follow(
      place,
      (now, byte) => advance(grammar, now, byte),
      (id, reached) => {
        lengths[id] = left(reached);
      },
    );
    places.set(key, lengths);
    return lengths;
  };

  return {
    constrain(tools, room) {
      const known = grammarOf(tools);
      let place: Place | undefined = START;
      let tokens = 0;
      /** After a token; undefined where it is refused. */
      const after = (id: number): Place | undefined => {
        if (place === undefined) return undefined;
        const written = stopIds.has(id) ? undefined : bytes.get(id);
        if (written !== undefined) return advance(known.grammar, place, written);
        return place.call === undefined || (stopIds.has(id) && left(place) === 0) ? place : undefined;
      };
      return {
        allows(id) {
          if (place === undefined) return true;
          const next = after(id);
          return next !== undefined && left(next) < room - tokens;
        },
        allowed() {
          if (place === undefined) return new Uint8Array(size).fill(1);
          const mask = Uint8Array.from(leftAfterEach(known, place), (length) =>
            Number(length >= 0 && length < room - tokens),
          );
          return mask.includes(1) ? mask : mask.fill(1);
        },
        accept(id) {
          place = after(id);
          tokens += 1;
        },
      };
    },
  };
}
