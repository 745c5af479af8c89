import { contradicts, isSameWish, type Wish, wishesOf } from "../text/wish.js";

/** Of so many wishes a teacher sees the newest. */
const MOST_WISHES = 4;

/**
 * The wishes that stand after a hint: its own, then the earlier ones that it neither repeats nor contradicts. What one user asked of one
 * answer mostly holds for the next question, too, so a teacher may hear it there.
 *
 * @param standing the newest first.
 * @returns one sentence each, the newest first, at most as many as a policy can be expected to keep in mind.
 */
export function withHint(standing: readonly string[], hint: string): readonly string[] {
  return [...standing.flatMap(wishesOf).reverse(), ...wishesOf(hint)]
    .reduce<readonly Wish[]>(
      (wishes, wish) => [wish, ...wishes.filter((other) => !isSameWish(other, wish) && !contradicts(other, wish))],
      [],
    )
    .slice(0, MOST_WISHES)
    .map(({ text }) => text);
}
