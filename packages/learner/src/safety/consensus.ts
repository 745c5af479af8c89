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
  /**
   * Other users whose votes on answers of the same key are an opinion: one vote of each, the nearest in time, for what is said of an
   * answer changes.
   */
  readonly nearest: number;
  /** So many of them are enough, and so far their mean must be from 0. */
  readonly others: number;
  readonly agreement: number;
  /** Comparisons that a user must have. */
  readonly compared: number;
  /** Least rate at which an honest user is taken to contradict the others. */
  readonly floor: number;
  /** Share of those found that may be honest; where nobody contradicts the others, the chance of finding anybody. */
  readonly alpha: number;
  /** From where on users are divided, in standard deviations; and what `alpha` is then, for then somebody does contradict the others. */
  readonly divided: number;
  readonly alphaDivided: number;
}

/** What a deployment of many users keeps to. */
export const CONSENSUS_RULE: ConsensusRule = {
  nearest: 16,
  others: 3,
  agreement: 0.25,
  compared: 4,
  floor: 0.15,
  alpha: 2e-3,
  divided: 5,
  alphaDivided: 0.05,
};

/** A user who says the opposite of what the others say of the same answers. */
export interface Contradictor {
  readonly user: string;
  readonly compared: number;
  readonly contradicted: number;
}

/** How users stand to one another. */
export interface Consensus {
  /** How often the middle one of the users contradicts the others, at least the rule's floor. */
  readonly expected: number;
  /** How much further users lie apart than chance puts them, in standard deviations: see {@link consensusOf}. */
  readonly dispersion: number;
  readonly contradictors: readonly Contradictor[];
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
 * Compares each vote with the nearest ones of other users on answers of the same key, one of each, and each user with all others.
 *
 *   x_u = votes of u against the sign of the others' mean, of n_u where there are enough of them and they agree
 *   p_u = P(X ≥ x_u),  X ~ Binomial(n_u, q),  q = median x/n of the users, at least the floor
 *   found are the k users of the least p_u, for the largest k with p_(k) ≤ α k / users
 *   dispersion = (χ² − m) / √(2m),  χ² = Σ_u (x_u − n_u r)² / (n_u r (1 − r)),  r = Σx/Σn, over m users
 *
 * The third line is the procedure of Benjamini and Hochberg, 1995: many who do the same are found by less each. The median holds as long
 * as most users are honest.
 */
export function consensusOf(votes: readonly Vote[], rule: ConsensusRule = CONSENSUS_RULE): Consensus {
  const counts = countContradictions(votes, rule);
  const judged = [...counts].filter(([, { compared }]) => compared >= rule.compared);
  const rates = judged.map(([, { compared, contradicted }]) => contradicted / compared).sort((a, b) => a - b);
  const expected = Math.max(rule.floor, rates[Math.floor((rates.length - 1) / 2)] ?? 0);
  const dispersion = dispersionOf(judged.map(([, count]) => count));
  const alpha = dispersion > rule.divided ? rule.alphaDivided : rule.alpha;
  const ranked = judged
    .map(([user, count]) => ({ user, ...count, p: binomialTail(count.contradicted, count.compared, expected) }))
    .sort((a, b) => a.p - b.p);
  const last = ranked.findLastIndex(({ p }, k) => p <= (alpha * (k + 1)) / counts.size);
  return { expected, dispersion, contradictors: ranked.slice(0, last + 1).map(({ p: _, ...found }) => found) };
}

interface Count {
  compared: number;
  contradicted: number;
}

function countContradictions(votes: readonly Vote[], rule: ConsensusRule): ReadonlyMap<string, Count> {
  const counts = new Map<string, Count>(votes.map(({ user }) => [user, { compared: 0, contradicted: 0 }]));
  const byKey = new Map<string, Vote[]>();
  for (const vote of votes) byKey.set(vote.key, [...(byKey.get(vote.key) ?? []), vote]);
  for (const alike of byKey.values()) {
    const nearest = nearestOthers(
      alike.map(({ user }) => user),
      rule.nearest,
    );
    for (const [place, { user, value }] of alike.entries()) {
      const others = nearest[place]!;
      const opinion = others.reduce((sum, other) => sum + alike[other]!.value, 0) / others.length;
      if (others.length < rule.others || Math.abs(opinion) < rule.agreement) continue;
      const count = counts.get(user)!;
      count.compared += 1;
      if (value * opinion < 0) count.contradicted += 1;
    }
  }
  return counts;
}

/**
 * For each place in a sequence of users the nearest places of others, before and after it, one of each user and `most` at most, the
 * nearest first. O(users.length · most).
 */
export function nearestOthers(users: readonly string[], most: number): readonly (readonly number[])[] {
  const before = latestOfEach(users, most + 1);
  const last = users.length - 1;
  const after = latestOfEach(users.toReversed(), most + 1)
    .toReversed()
    .map((places) => places.map((place) => last - place));
  return users.map((user, place) => {
    const places = [...before[place]!, ...after[place]!].sort((a, b) => Math.abs(a - place) - Math.abs(b - place));
    const found = new Map<string, number>();
    for (const other of places) {
      const whose = users[other]!;
      if (whose !== user && found.size < most && !found.has(whose)) found.set(whose, other);
    }
    return [...found.values()];
  });
}

/** For each place the latest place before it of each user, the latest first and `most` at most. */
function latestOfEach(users: readonly string[], most: number): readonly (readonly number[])[] {
  let latest: readonly number[] = [];
  return users.map((user, place) => {
    const known = latest;
    latest = [place, ...latest.filter((other) => users[other] !== user)].slice(0, most);
    return known;
  });
}

function dispersionOf(counts: readonly Count[]): number {
  const [compared, contradicted] = counts.reduce(([n, x], c) => [n + c.compared, x + c.contradicted], [0, 0]);
  const rate = contradicted / compared;
  if (counts.length < 2 || rate === 0 || rate === 1) return 0;
  const square = ({ compared: n, contradicted: x }: Count) => (x - n * rate) ** 2 / (n * rate * (1 - rate));
  const chi = counts.reduce((sum, count) => sum + square(count), 0);
  return (chi - counts.length) / Math.sqrt(2 * counts.length);
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
