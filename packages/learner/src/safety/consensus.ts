/** What a user said of a kind of answer. */
export interface Vote {
  readonly user: string;
  /** Answers of one key are alike: see {@link answerShape}. */
  readonly key: string;
  /** −1 or +1. */
  readonly value: number;
}

/** When a user stands against all others. */
export interface ConsensusRule {
  /** Votes of others that make an opinion, and how far their mean must be from 0. */
  readonly others: number;
  readonly agreement: number;
  /** Comparisons that a user must have. */
  readonly compared: number;
  /** Least rate at which an honest user is taken to contradict the others. */
  readonly floor: number;
  /** Chance of an honest user among all of them to be found. */
  readonly alpha: number;
}

/** One false alarm in some thousand looks. */
export const CONSENSUS_RULE: ConsensusRule = { others: 4, agreement: 0.4, compared: 6, floor: 0.15, alpha: 5e-4 };

/** A user who says the opposite of what the others say of the same answers. */
export interface Contradictor {
  readonly user: string;
  readonly compared: number;
  readonly contradicted: number;
  /** How often the middle one of the users contradicts the others. */
  readonly expected: number;
}

/**
 * The kind of an answer: its words with numbers as one sign, and capitalised words that are not the first of a sentence, or are set
 * off by a comma as names are, as another. Answers that differ in content alone are alike.
 */
export function answerShape(response: string): string {
  return response
    .normalize("NFKC")
    .replace(/\d+(?:[.,/]\d+)*/g, "#")
    .replace(/\p{Lu}\p{L}+(?=,)/gu, "@")
    .replace(/(?<=[\p{L},;] )\p{Lu}\p{L}+/gu, "@")
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, 80);
}

/**
 * Users who stand against all others, each compared with the votes of the others on answers of the same key.
 *
 *   x_u = votes of u against the sign of the others' mean, of n_u where there are enough of them and they agree
 *   found when P(X ≥ x_u) < α / users,  X ~ Binomial(n_u, q),  q = median x/n of the users, at least the floor
 *
 * The median holds as long as most users are honest, however many of the others there are.
 */
export function contradictors(votes: readonly Vote[], rule: ConsensusRule = CONSENSUS_RULE): readonly Contradictor[] {
  const found = new Map(votes.map(({ user }) => [user, { compared: 0, contradicted: 0 }]));
  for (const alike of groupsOf(votes, ({ key }) => key)) {
    const sum = sumOf(alike);
    for (const own of groupsOf(alike, ({ user }) => user)) {
      const others = alike.length - own.length;
      const opinion = (sum - sumOf(own)) / others;
      if (others < rule.others || Math.abs(opinion) < rule.agreement) continue;
      const count = found.get(own[0]!.user)!;
      count.compared += own.length;
      count.contradicted += own.filter(({ value }) => value * opinion < 0).length;
    }
  }
  const judged = [...found].filter(([, { compared }]) => compared >= rule.compared);
  const rates = judged.map(([, { compared, contradicted }]) => contradicted / compared).sort((a, b) => a - b);
  const expected = Math.max(rule.floor, rates[Math.floor((rates.length - 1) / 2)] ?? 0);
  return judged.flatMap(([user, { compared, contradicted }]) =>
    binomialTail(contradicted, compared, expected) < rule.alpha / found.size
      ? [{ user, compared, contradicted, expected }]
      : [],
  );
}

function sumOf(votes: readonly Vote[]): number {
  return votes.reduce((total, { value }) => total + value, 0);
}

function groupsOf(votes: readonly Vote[], keyOf: (vote: Vote) => string): readonly (readonly Vote[])[] {
  const groups = new Map<string, Vote[]>();
  for (const vote of votes) groups.set(keyOf(vote), [...(groups.get(keyOf(vote)) ?? []), vote]);
  return [...groups.values()];
}

/** P(X ≥ x) for X ~ Binomial(n, q), 0 < q < 1. */
export function binomialTail(x: number, n: number, q: number): number {
  let logChoose = 0;
  let tail = 0;
  for (let k = 0; k <= n; k++) {
    if (k >= x) tail += Math.exp(logChoose + k * Math.log(q) + (n - k) * Math.log1p(-q));
    logChoose += Math.log(n - k) - Math.log(k + 1);
  }
  return Math.min(1, tail);
}
