import { mixSeed } from "@afterstate/core";
import type { JudgeRequest } from "../types.js";
import { wordsOf } from "./clauses.js";
import { lastUserText } from "./rule-judge.js";

/** Features of a step: places below the size of the space, and what stands there. */
export interface StepFeatures {
  readonly places: readonly number[];
  readonly values: readonly number[];
}

/** Words of a text that count, from its beginning. */
const MAX_WORDS = 64;
const MAX_CHARACTERS = 2_000;

/**
 * What a step looks like before anybody reacts to it: hashed words (Weinberger et al., *Feature Hashing*, ICML 2009) of the user's last message,
 * of the response, and of what tools or the environment showed; its kind, lengths, errors, and how sure the policy was of its tokens. A
 * user's reply is left out: there the judges have spoken.
 */
export function stepFeatures(request: JudgeRequest, size: number): StepFeatures {
  const { messages, response, kind, tokens, nextState } = request;
  const features = new Map<number, number>();
  const add = (name: string, value: number) => {
    const hash = mixSeed(0, name);
    const place = (hash >>> 1) % size;
    features.set(place, (features.get(place) ?? 0) + (hash & 1 ? value : -value));
  };
  const addWords = (part: string, text: string) => {
    const words = new Set(wordsOf(text.slice(0, MAX_CHARACTERS)).replace(/\d+/g, "0").split(" ").slice(0, MAX_WORDS));
    for (const word of words) add(`${part}:${word}`, 1 / Math.sqrt(words.size));
  };
  addWords("asked", lastUserText(messages));
  addWords("answered", response);
  if (nextState.kind === "tool") {
    for (const { content, toolName } of nextState.results) addWords(`shown:${toolName}`, content);
    if (nextState.results.some(({ isError }) => isError)) add("error", 1);
  }
  if (nextState.kind === "environment") addWords("shown", nextState.observation);
  add(`kind:${kind ?? "unknown"}`, 1);
  add(`after:${messages.at(-1)?.role ?? "nothing"}`, 1);
  add("length", Math.log1p(response.length) / 8);
  const sampled = tokens?.logProbs.filter((_, t) => tokens.mask[t] === 1) ?? [];
  if (sampled.length > 0) {
    add("mean-log-prob", sampled.reduce((sum, logProb) => sum + logProb, 0) / sampled.length);
    add("least-log-prob", Math.max(-10, Math.min(...sampled)) / 4);
  }
  const entries = [...features].filter(([, value]) => value !== 0);
  return { places: entries.map(([place]) => place), values: entries.map(([, value]) => value) };
}
