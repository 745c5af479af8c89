/**
 * Probabilities of choosing among alternatives of which rewards are expected: the worse one looks beside the best, the more rarely it is
 * chosen. They are exact, which Thompson sampling's are not, so that what was logged can be weighed afterwards.
 *
 *   p_a = 1 / (K + γ (r̂_best − r̂_a)),  p_best = 1 − Σ_{a ≠ best} p_a
 *   Foster and Rakhlin, Beyond UCB, arXiv:2002.04926, Algorithm 1 (SquareCB), for rewards between 0 and 1
 *   then p ← (1 − K ε) p + ε
 *
 * Differs from the paper: ε, a floor, bounds the weight that one logged choice can have at 1/ε.
 *
 * @param expected r̂ of each alternative, 0–1; at equal ones the first is the best. [alternatives]
 * @returns [alternatives], summing to 1.
 */
export function inverseGapProbabilities(expected: readonly number[], gamma: number, floor: number): readonly number[] {
  const alternatives = expected.length;
  const best = expected.indexOf(Math.max(...expected));
  const others = expected.map((reward, a) =>
    a === best ? 0 : 1 / (alternatives + gamma * (expected[best]! - reward)),
  );
  const rest = 1 - others.reduce((sum, probability) => sum + probability, 0);
  return others.map((probability, a) => (1 - alternatives * floor) * (a === best ? rest : probability) + floor);
}

/** The alternative that a uniform number in [0, 1) falls on. */
export function drawAlternative(probabilities: readonly number[], uniform: number): number {
  let sum = 0;
  const at = probabilities.findIndex((probability) => {
    sum += probability;
    return uniform < sum;
  });
  return at < 0 ? probabilities.length - 1 : at;
}
