import type { HiperRole } from "./hiper.js";

/** A stretch of a text with what it is worth. In characters, `end` after the last. */
export interface TextSpan<T> {
  readonly start: number;
  readonly end: number;
  readonly value: T;
}

/**
 * What each token is worth by the span that its first character stands in: a text is never tokenised again for it. A token that
 * writes nothing, such as the end of a response, belongs to what it follows.
 *
 * @param decode the text of the first tokens. @param otherwise outside of all spans. @returns [tokens]
 */
export function valuesOfTokens<T>(
  ids: readonly number[],
  decode: (ids: readonly number[]) => string,
  spans: readonly TextSpan<T>[],
  otherwise: T,
): T[] {
  const values: T[] = [];
  let from = 0;
  for (const t of ids.keys()) {
    const to = decode(ids.slice(0, t + 1)).length;
    const span = spans.find(({ start, end }) => start <= from && from < end);
    values.push(to === from && t > 0 ? values[t - 1]! : span === undefined ? otherwise : span.value);
    from = to;
  }
  return values;
}

/** What a turn says about its subgoal. */
export interface Hierarchy {
  readonly switched: boolean;
  readonly subgoal?: string;
  readonly spans: readonly TextSpan<HiperRole>[];
}

/**
 * Reads `<switch>KEEP|SWITCH</switch><subgoal>…</subgoal><action>…</action>` (HiPER, arXiv:2602.16165). Spans include their tags; a
 * turn without a switch keeps its subgoal; a text without any tag is an action.
 */
export function readHierarchyTags(text: string): Hierarchy {
  const find = (tag: string) => new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(text);
  const found = (["switch", "subgoal", "action"] as const).map((value) => ({ value, match: find(value) }));
  const spans = found.flatMap(({ value, match }) =>
    match === null ? [] : [{ start: match.index, end: match.index + match[0].length, value }],
  );
  const [turn, subgoal] = found.map(({ match }) => match?.[1]?.trim());
  return {
    switched: turn?.toUpperCase() === "SWITCH",
    ...(subgoal !== undefined && { subgoal }),
    spans: spans.length > 0 ? spans : [{ start: 0, end: text.length, value: "action" }],
  };
}
