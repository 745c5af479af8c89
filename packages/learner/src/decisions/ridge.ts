/** What a linear model of rewards has seen: plain data. */
export interface Ridge {
  /** Σ ρ^age x xᵀ, by rows. [features][features] */
  readonly precision: readonly (readonly number[])[];
  /** Σ ρ^age r x. [features] */
  readonly moment: readonly number[];
}

/** Weight of the prior: as if one reward of 0 had been seen for each feature. */
const LAMBDA = 1;

/** Nothing seen, for `size` features. */
export function emptyRidge(size: number): Ridge {
  return {
    precision: Array.from({ length: size }, () => Array<number>(size).fill(0)),
    moment: Array<number>(size).fill(0),
  };
}

/** Lets what was seen count less: by ρ, for the time that passed. Discounted linear bandits: Russac et al., arXiv:1909.09146, Eq. 3. */
export function aged({ precision, moment }: Ridge, rho: number): Ridge {
  return {
    precision: precision.map((row) => row.map((value) => rho * value)),
    moment: moment.map((value) => rho * value),
  };
}

/** Takes one reward in. @param x [features] */
export function withReward({ precision, moment }: Ridge, x: readonly number[], reward: number): Ridge {
  return {
    precision: precision.map((row, i) => row.map((value, j) => value + x[i]! * x[j]!)),
    moment: moment.map((value, i) => value + reward * x[i]!),
  };
}

/** With zeros for features that were not there before. */
export function widened(ridge: Ridge, size: number): Ridge {
  const empty = emptyRidge(size);
  return {
    precision: empty.precision.map((row, i) => row.map((_, j) => ridge.precision[i]?.[j] ?? 0)),
    moment: empty.moment.map((_, i) => ridge.moment[i] ?? 0),
  };
}

/**
 * The reward that the model expects.
 *
 *   θ̂ = (Σ x xᵀ + λ I)⁻¹ Σ r x,  r̂(x) = θ̂ᵀ x        ridge regression: Hoerl and Kennard, Technometrics 12, 1970
 */
export function expectedReward({ precision, moment }: Ridge, x: readonly number[]): number {
  const theta = solve(
    precision.map((row, i) => row.map((value, j) => value + (i === j ? LAMBDA : 0))),
    moment,
  );
  return theta.reduce((sum, weight, i) => sum + weight * x[i]!, 0);
}

/** Gaussian elimination; the matrix is positive definite, so that no pivot is 0. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): readonly number[] {
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  const size = rows.length;
  for (let i = 0; i < size; i++)
    for (let k = i + 1; k < size; k++) {
      const factor = rows[k]![i]! / rows[i]![i]!;
      for (let j = i; j <= size; j++) rows[k]![j]! -= factor * rows[i]![j]!;
    }
  const solution = Array<number>(size).fill(0);
  for (let i = size - 1; i >= 0; i--) {
    const known = solution.reduce((sum, value, j) => (j > i ? sum + rows[i]![j]! * value : sum), 0);
    solution[i] = (rows[i]![size]! - known) / rows[i]![i]!;
  }
  return solution;
}
