/** y ← y + x, elements from … to − 1. */
export function addTo(y: usize, x: usize, from: i32, to: i32): void {
  let i = from;
  for (; i + 4 <= to; i += 4) {
    const at = (<usize>i) << 2;
    v128.store(y + at, f32x4.add(v128.load(y + at), v128.load(x + at)));
  }
  for (; i < to; i++) {
    const at = (<usize>i) << 2;
    store<f32>(y + at, load<f32>(y + at) + load<f32>(x + at));
  }
}

/** Adds a bias to rows from … to − 1. x [rows, width], bias [width] */
export function addBias(x: usize, bias: usize, width: i32, from: i32, to: i32): void {
  for (let row = from; row < to; row++) addTo(x + ((<usize>row * <usize>width) << 2), bias, 0, width);
}

/** db ← db + Σ_rows dy, for columns from … to − 1. dy [rows, width] */
export function sumRows(dy: usize, db: usize, width: i32, rows: i32, from: i32, to: i32): void {
  for (let row = 0; row < rows; row++) addTo(db, dy + ((<usize>row * <usize>width) << 2), from, to);
}

/** Row ids_i of dTable ← itself + row i of dx, for columns from … to − 1. ids int32. [rows] */
export function scatterAdd(dTable: usize, ids: usize, dx: usize, width: i32, rows: i32, from: i32, to: i32): void {
  for (let row = 0; row < rows; row++) {
    const id = <usize>load<i32>(ids + ((<usize>row) << 2));
    addTo(dTable + ((id * <usize>width) << 2), dx + ((<usize>row * <usize>width) << 2), from, to);
  }
}

/** Rows at the given indices: y_i = x_{index_i}, rows from … to − 1. indices int32. */
export function gatherRows(x: usize, indices: usize, y: usize, width: i32, from: i32, to: i32): void {
  const bytes = (<usize>width) << 2;
  for (let row = from; row < to; row++) {
    memory.copy(y + <usize>row * bytes, x + <usize>load<i32>(indices + ((<usize>row) << 2)) * bytes, bytes);
  }
}

/** Σ x_i y_i over elements from … to − 1, summed in float64. */
export function dot(x: usize, y: usize, from: i32, to: i32): f64 {
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  let i = from;
  for (; i + 4 <= to; i += 4) {
    const at = (<usize>i) << 2;
    const product = f32x4.mul(v128.load(x + at), v128.load(y + at));
    low = f64x2.add(low, f64x2.promote_low_f32x4(product));
    high = f64x2.add(high, f64x2.promote_low_f32x4(v128.shuffle<f32>(product, product, 2, 3, 2, 3)));
  }
  const both = f64x2.add(low, high);
  let sum = f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
  for (; i < to; i++) sum += <f64>load<f32>(x + ((<usize>i) << 2)) * <f64>load<f32>(y + ((<usize>i) << 2));
  return sum;
}

/**
 * One step of AdamW (arXiv:1711.05101) on elements from … to − 1; g is scaled by `clip` first.
 *
 *   m ← β₁m + (1 − β₁)g        v ← β₂v + (1 − β₂)g²
 *   w ← w − η (m̂ / (√v̂ + ε) + λw),  m̂ = m · c₁, v̂ = v · c₂,  c = 1/(1 − βᵗ)
 */
export function adamw(
  w: usize,
  g: usize,
  m: usize,
  v: usize,
  clip: f32,
  learningRate: f32,
  beta1: f32,
  beta2: f32,
  correction1: f32,
  correction2: f32,
  epsilon: f32,
  decay: f32,
  from: i32,
  to: i32,
): void {
  let i = from;
  for (; i + 4 <= to; i += 4) {
    const at = (<usize>i) << 2;
    const gradient = f32x4.mul(v128.load(g + at), f32x4.splat(clip));
    const mean = f32x4.add(
      f32x4.mul(v128.load(m + at), f32x4.splat(beta1)),
      f32x4.mul(gradient, f32x4.splat(<f32>1 - beta1)),
    );
    const variance = f32x4.add(
      f32x4.mul(v128.load(v + at), f32x4.splat(beta2)),
      f32x4.mul(f32x4.mul(gradient, gradient), f32x4.splat(<f32>1 - beta2)),
    );
    v128.store(m + at, mean);
    v128.store(v + at, variance);
    const root = f32x4.add(f32x4.sqrt(f32x4.mul(variance, f32x4.splat(correction2))), f32x4.splat(epsilon));
    const direction = f32x4.div(f32x4.mul(mean, f32x4.splat(correction1)), root);
    const weight = v128.load(w + at);
    const step = f32x4.add(direction, f32x4.mul(weight, f32x4.splat(decay)));
    v128.store(w + at, f32x4.sub(weight, f32x4.mul(step, f32x4.splat(learningRate))));
  }
  for (; i < to; i++) {
    const at = (<usize>i) << 2;
    const gradient = load<f32>(g + at) * clip;
    const mean = load<f32>(m + at) * beta1 + gradient * (<f32>1 - beta1);
    const variance = load<f32>(v + at) * beta2 + gradient * gradient * (<f32>1 - beta2);
    store<f32>(m + at, mean);
    store<f32>(v + at, variance);
    const direction = (mean * correction1) / (sqrt<f32>(variance * correction2) + epsilon);
    const weight = load<f32>(w + at);
    store<f32>(w + at, weight - (direction + weight * decay) * learningRate);
  }
}
