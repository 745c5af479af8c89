import type { Message, NextState } from "@afterstate/core";

/** What nobody but a text that wants to be obeyed says in a tool's output. */
const PATTERNS: readonly RegExp[] = [
  /\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:previous|above|prior|earlier|preceding|all|your)\b.{0,30}\b(?:instructions?|prompts?|rules?|guidelines?)\b/i,
  /\b(?:judges?|graders?|evaluators?|reviewers?|scorers?|reward models?|raters?|assistant)\b.{0,60}\b(?:must|should|please|always|now|has to|have to)\b.{0,60}\b(?:vote|score|rate|grade|reward|mark|output|answer|reply|say)\b/i,
  /\b(?:note|message|instructions?|attention|important)\b.{0,20}\b(?:to|for)\b.{0,20}\b(?:judges?|graders?|evaluators?|reward models?|raters?)\b/i,
  /\bvote\s*[:=]\s*[+\-−]?\s*[01]\b/i,
  /\byou are (?:now )?(?:a|an|the) (?:judge|grader|evaluator|assistant|reward model)\b/i,
  /<\/?(?:system|assistant|user|response|request|next[- ]state|im_start|im_end)\b[^>]*>|<\|im_(?:start|end)\|>|\[\/?INST\]/i,
];

/**
 * The part of a tool's output that speaks to whoever reads it, undefined when none does. A screen and no proof: what is worded
 * otherwise gets through, and is left to the bounds on influence and on the size of an update.
 */
export function injectedInstruction(text: string): string | undefined {
  const plain = text.normalize("NFKC").replace(/\p{Cf}/gu, "");
  return PATTERNS.map((pattern) => pattern.exec(plain)?.[0]).find((found) => found !== undefined);
}

/** Looks through what a step's tools said, before it and after it. */
export function injectionOf(step: {
  readonly messages: readonly Message[];
  readonly nextStates: readonly NextState[];
}): string | undefined {
  const before = step.messages.flatMap(({ role, content }) => (role === "tool" ? [content] : []));
  const after = step.nextStates.flatMap((next) =>
    next.kind === "tool" ? next.results.map(({ content }) => content) : [],
  );
  for (const text of [...before, ...after]) {
    const found = injectedInstruction(text);
    if (found !== undefined) return found;
  }
  return undefined;
}
