import { exp1, exp4, max4, sum4 } from "./exponential";

/*
 * What is computed of the scores z over the vocabulary, row by row; log π = z − logsumexp(z), in nats. z [rows, vocab].
 */

/** Writes logsumexp(z_i) and ℓ_i = z_{i,target} − logsumexp(z_i) of rows from … to − 1. Both [rows]. */
export function targetLogProbs(
  z: usize,
  targets: usize,
  logSumExp: usize,
  logProbs: usize,
  vocab: i32,
  from: i32,
  to: i32,
): void {
  for (let row = from; row < to; row++) {
    const start = z + ((<usize>row * <usize>vocab) << 2);
    let tops = f32x4.splat(-Infinity);
    let i = 0;
    for (; i + 4 <= vocab; i += 4) tops = f32x4.max(tops, v128.load(start + ((<usize>i) << 2)));
    let top = max4(tops);
    for (; i < vocab; i++) top = max(top, load<f32>(start + ((<usize>i) << 2)));
    const topLanes = f32x4.splat(top);
    let sums = f32x4.splat(0);
    for (i = 0; i + 4 <= vocab; i += 4) {
      sums = f32x4.add(sums, exp4(f32x4.sub(v128.load(start + ((<usize>i) << 2)), topLanes)));
    }
    let sum = sum4(sums);
    for (; i < vocab; i++) sum += exp1(load<f32>(start + ((<usize>i) << 2)) - top);
    const total = <f32>(<f64>top + Math.log(<f64>sum));
    const at = (<usize>row) << 2;
    store<f32>(logSumExp + at, total);
    store<f32>(logProbs + at, load<f32>(start + ((<usize>load<i32>(targets + at)) << 2)) - total);
  }
}

/** Turns z into log π, rows from … to − 1. */
export function subtractRows(z: usize, logSumExp: usize, vocab: i32, from: i32, to: i32): void {
  for (let row = from; row < to; row++) {
    const start = z + ((<usize>row * <usize>vocab) << 2);
    const total = load<f32>(logSumExp + ((<usize>row) << 2));
    const totals = f32x4.splat(total);
    let i = 0;
    for (; i + 4 <= vocab; i += 4) {
      const at = start + ((<usize>i) << 2);
      v128.store(at, f32x4.sub(v128.load(at), totals));
    }
    for (; i < vocab; i++) {
      const at = start + ((<usize>i) << 2);
      store<f32>(at, load<f32>(at) - total);
    }
  }
}

/** Multiplies row i by f_i, rows from … to − 1. f [rows] */
export function scaleRows(x: usize, factors: usize, width: i32, from: i32, to: i32): void {
  for (let row = from; row < to; row++) {
    const start = x + ((<usize>row * <usize>width) << 2);
    const factor = load<f32>(factors + ((<usize>row) << 2));
    const lanes = f32x4.splat(factor);
    let i = 0;
    for (; i + 4 <= width; i += 4) {
      const at = start + ((<usize>i) << 2);
      v128.store(at, f32x4.mul(v128.load(at), lanes));
    }
    for (; i < width; i++) {
      const at = start + ((<usize>i) << 2);
      store<f32>(at, load<f32>(at) * factor);
    }
  }
}

/**
 * Turns z into the gradient of Σ_i s_i ℓ_i, rows from … to − 1.
 *
 *   dz_i = s_i (onehot(target_i) − π_i)
 */
export function targetGradient(
  z: usize,
  targets: usize,
  logSumExp: usize,
  slopes: usize,
  vocab: i32,
  from: i32,
  to: i32,
): void {
  for (let row = from; row < to; row++) {
    const start = z + ((<usize>row * <usize>vocab) << 2);
    const at = (<usize>row) << 2;
    const slope = load<f32>(slopes + at);
    if (slope === 0) {
      memory.fill(start, 0, (<usize>vocab) << 2);
      continue;
    }
    const total = load<f32>(logSumExp + at);
    const totals = f32x4.splat(total);
    const down = f32x4.splat(-slope);
    let i = 0;
    for (; i + 4 <= vocab; i += 4) {
      const place = start + ((<usize>i) << 2);
      v128.store(place, f32x4.mul(down, exp4(f32x4.sub(v128.load(place), totals))));
    }
    for (; i < vocab; i++) {
      const place = start + ((<usize>i) << 2);
      store<f32>(place, -slope * exp1(load<f32>(place) - total));
    }
    const target = start + ((<usize>load<i32>(targets + at)) << 2);
    store<f32>(target, load<f32>(target) + slope);
  }
}

/**
 * Adds what the vocabulary costs to the gradient: turns z into that of Σ_i (s_i ℓ_i + f C_i), rows from … to − 1.
 *
 *   C_i = Σ_v π_i(v) c_i(v),  c = β (log π − log π_reference) − w_i clip(log π_teacher − log π, ±k), a constant
 *   dz_i = s_i (onehot(target_i) − π_i) + f π_i ⊙ (c_i − C_i)
 *
 * @param reference log π_reference. [rows, vocab] @param teacher log π_teacher. [hinted rows, vocab]
 * @param teacherRows the row's index in `teacher`, −1 where there is none; int32. [rows] @param weights w. [rows]
 * @param costs C is written there. [rows]
 */
export function policyGradient(
  z: usize,
  targets: usize,
  logSumExp: usize,
  slopes: usize,
  reference: usize,
  beta: f32,
  teacher: usize,
  teacherRows: usize,
  weights: usize,
  clip: f32,
  factor: f32,
  costs: usize,
  vocab: i32,
  from: i32,
  to: i32,
): void {
  const bytes = (<usize>vocab) << 2;
  for (let row = from; row < to; row++) {
    const at = (<usize>row) << 2;
    const start = z + <usize>row * bytes;
    const other = reference + <usize>row * bytes;
    const teacherRow = load<i32>(teacherRows + at);
    const lesson = teacherRow < 0 ? other : teacher + <usize>teacherRow * bytes;
    const weight = teacherRow < 0 ? <f32>0 : load<f32>(weights + at);
    const total = load<f32>(logSumExp + at);
    const totals = f32x4.splat(total);
    let sums = f32x4.splat(0);
    let i = 0;
    for (; i + 4 <= vocab; i += 4) {
      const place = (<usize>i) << 2;
      const logProb = f32x4.sub(v128.load(start + place), totals);
      const cost = cost4(logProb, v128.load(other + place), v128.load(lesson + place), beta, weight, clip);
      sums = f32x4.add(sums, f32x4.mul(exp4(logProb), cost));
    }
    let expected = sum4(sums);
    for (; i < vocab; i++) {
      const place = (<usize>i) << 2;
      const logProb = load<f32>(start + place) - total;
      expected +=
        exp1(logProb) * cost1(logProb, load<f32>(other + place), load<f32>(lesson + place), beta, weight, clip);
    }
    store<f32>(costs + at, expected);
    const slope = load<f32>(slopes + at);
    const base = f32x4.splat(-slope - factor * expected);
    const factors = f32x4.splat(factor);
    for (i = 0; i + 4 <= vocab; i += 4) {
      const place = (<usize>i) << 2;
      const logProb = f32x4.sub(v128.load(start + place), totals);
      const cost = cost4(logProb, v128.load(other + place), v128.load(lesson + place), beta, weight, clip);
      v128.store(start + place, f32x4.mul(exp4(logProb), f32x4.add(base, f32x4.mul(factors, cost))));
    }
    for (; i < vocab; i++) {
      const place = (<usize>i) << 2;
      const logProb = load<f32>(start + place) - total;
      const cost = cost1(logProb, load<f32>(other + place), load<f32>(lesson + place), beta, weight, clip);
      store<f32>(start + place, exp1(logProb) * (-slope - factor * expected + factor * cost));
    }
    const target = start + ((<usize>load<i32>(targets + at)) << 2);
    store<f32>(target, load<f32>(target) + slope);
  }
}

function cost4(logProb: v128, reference: v128, teacher: v128, beta: f32, weight: f32, clip: f32): v128 {
  const kl = f32x4.mul(f32x4.sub(logProb, reference), f32x4.splat(beta));
  const delta = f32x4.max(f32x4.min(f32x4.sub(teacher, logProb), f32x4.splat(clip)), f32x4.splat(-clip));
  return f32x4.sub(kl, f32x4.mul(delta, f32x4.splat(weight)));
}

function cost1(logProb: f32, reference: f32, teacher: f32, beta: f32, weight: f32, clip: f32): f32 {
  const delta = max(min(teacher - logProb, clip), -clip);
  return (logProb - reference) * beta - delta * weight;
}

/**
 * Writes KL(π_i ‖ π_reference) and the entropy of π_i of rows from … to − 1. Both [rows].
 *
 *   KL = Σ_v π(v) (log π(v) − log π_reference(v))        H = −Σ_v π(v) log π(v)
 */
export function divergenceAndEntropy(
  z: usize,
  logSumExp: usize,
  reference: usize,
  divergence: usize,
  entropy: usize,
  vocab: i32,
  from: i32,
  to: i32,
): void {
  const bytes = (<usize>vocab) << 2;
  for (let row = from; row < to; row++) {
    const start = z + <usize>row * bytes;
    const other = reference + <usize>row * bytes;
    const total = load<f32>(logSumExp + ((<usize>row) << 2));
    const totals = f32x4.splat(total);
    let divergences = f32x4.splat(0);
    let surprises = f32x4.splat(0);
    let i = 0;
    for (; i + 4 <= vocab; i += 4) {
      const place = (<usize>i) << 2;
      const logProb = f32x4.sub(v128.load(start + place), totals);
      const probability = exp4(logProb);
      divergences = f32x4.add(divergences, f32x4.mul(probability, f32x4.sub(logProb, v128.load(other + place))));
      surprises = f32x4.sub(surprises, f32x4.mul(probability, logProb));
    }
    let divergenceSum = sum4(divergences);
    let surprise = sum4(surprises);
    for (; i < vocab; i++) {
      const place = (<usize>i) << 2;
      const logProb = load<f32>(start + place) - total;
      const probability = exp1(logProb);
      divergenceSum += probability * (logProb - load<f32>(other + place));
      surprise -= probability * logProb;
    }
    store<f32>(divergence + ((<usize>row) << 2), divergenceSum);
    store<f32>(entropy + ((<usize>row) << 2), surprise);
  }
}
