import { type LearnedText, NO_TRIAL, type TextRules, type TextState } from "./learned-text-state.js";
import { personalContent } from "./personal-content.js";
import { contradicts, isSameWish, type Wish } from "./wish.js";

/** Who wants something, and who wants otherwise. */
export interface WishSupport {
  /** The texts of different users that come to the wish. */
  readonly supporters: readonly LearnedText[];
  /** Users who want what contradicts it. */
  readonly opponents: number;
}

/** How a wish stands among the users: by what each of them wants now. */
export function supportOf(wish: Wish, { texts }: Pick<TextState, "texts">): WishSupport {
  const wanted = texts.filter(
    ({ scope, state, kind }) => scope !== "everyone" && state === "active" && kind === "principle",
  );
  const supporters = wanted.filter((text) => isSameWish(text, wish));
  const people = new Set(supporters.flatMap(({ users }) => users));
  const others = wanted.filter((text) => contradicts(text, wish)).flatMap(({ users }) => users);
  return {
    supporters: supporters.filter(
      ({ users }, index) => supporters.findIndex((one) => one.users[0] === users[0]) === index,
    ),
    opponents: new Set(others.filter((user) => !people.has(user))).size,
  };
}

/** Whether so many want it, and so few want otherwise, that it is everyone's: `enough`, and twice as many as those against it. */
export function isCommon(users: { readonly supporters: number; readonly opponents: number }, enough: number): boolean {
  return users.supporters >= enough && users.supporters >= 2 * users.opponents;
}

/**
 * The wording, among one of each user's, in which a wish may be shown to everyone: without personal content, and each word that is not filler said by `sayers` users
 * at least, so that no name or secret of one of them is in it. The shortest; undefined when there is none.
 */
export function sharedWording<T extends Wish>(supporters: readonly T[], sayers: number): T | undefined {
  const saidBy = (term: string) => supporters.filter(({ terms }) => terms.includes(term)).length;
  return supporters
    .filter(({ text, terms }) => personalContent(text) === undefined && terms.every((term) => saidBy(term) >= sayers))
    .toSorted((a, b) => a.text.length - b.text.length)[0];
}

/** The state after a wish: what others want no longer is taken back from everyone, and what has become common is a candidate for all. */
export function withShared(state: TextState, wish: Wish, { shareAfter }: TextRules, offset: number): TextState {
  const isTakenBack = (text: LearnedText) =>
    text.scope === "everyone" &&
    text.kind === "principle" &&
    text.state !== "retired" &&
    text.topic === wish.topic &&
    !isCommon(countsOf(supportOf(text, state)), shareAfter);
  const texts = state.texts.filter((text) => !isTakenBack(text));
  const support = supportOf(wish, state);
  const isKnown = texts.some((text) => text.scope === "everyone" && isSameWish(text, wish));
  if (isKnown || !isCommon(countsOf(support), shareAfter)) return { ...state, texts };
  const wording = sharedWording(support.supporters, Math.min(2, shareAfter));
  if (wording === undefined) return { ...state, texts };
  const shared: LearnedText = {
    text: wording.text,
    topic: wording.topic,
    terms: wording.terms,
    id: `shared-${offset}-${texts.length}`,
    kind: "principle",
    scope: "everyone",
    generation: state.generation,
    users: support.supporters.flatMap(({ users }) => users),
    sessions: support.supporters.flatMap(({ sessions }) => sessions),
    created: offset,
    confirmed: offset,
    trial: NO_TRIAL,
    state: "candidate",
  };
  return { ...state, texts: [...texts, shared] };
}

function countsOf({ supporters, opponents }: WishSupport): { readonly supporters: number; readonly opponents: number } {
  return { supporters: supporters.length, opponents };
}
