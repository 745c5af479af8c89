import { exp1, exp4, max4, sum4 } from "./exponential";

/*
 * Causal attention probabilities. Query row i sees the first `offset + i + 1` keys.
 *
 *   P = softmax(S · c)        dS = c · P ⊙ (dP − Σ_keys dP ⊙ P)
 */

/** Turns rows from … to − 1 of scores into probabilities, in place; 0 at keys that a row does not see. [rows, stride] */
export function causalSoftmax(
  scores: usize,
  stride: i32,
  keys: i32,
  offset: i32,
  scale: f32,
  from: i32,
  to: i32,
): void {
  for (let row = from; row < to; row++) {
    const start = scores + ((<usize>row * <usize>stride) << 2);
    const seen = min(keys, offset + row + 1);
    softmaxRow(start, seen, scale);
    memory.fill(start + ((<usize>seen) << 2), 0, (<usize>(keys - seen)) << 2);
  }
}

/** softmax(c x) of one row, in place. */
function softmaxRow(start: usize, length: i32, scale: f32): void {
  let tops = f32x4.splat(-Infinity);
  let i = 0;
  for (; i + 4 <= length; i += 4) tops = f32x4.max(tops, v128.load(start + ((<usize>i) << 2)));
  let top = max4(tops);
  for (; i < length; i++) top = max(top, load<f32>(start + ((<usize>i) << 2)));
  const topScaled = f32x4.splat(top * scale);
  const scales = f32x4.splat(scale);
  let sums = f32x4.splat(0);
  for (i = 0; i + 4 <= length; i += 4) {
    const at = start + ((<usize>i) << 2);
    const value = exp4(f32x4.sub(f32x4.mul(v128.load(at), scales), topScaled));
    sums = f32x4.add(sums, value);
    v128.store(at, value);
  }
  let sum = sum4(sums);
  for (; i < length; i++) {
    const at = start + ((<usize>i) << 2);
    const value = exp1(load<f32>(at) * scale - top * scale);
    sum += value;
    store<f32>(at, value);
  }
  const inverse = <f32>1 / sum;
  const inverses = f32x4.splat(inverse);
  for (i = 0; i + 4 <= length; i += 4) {
    const at = start + ((<usize>i) << 2);
    v128.store(at, f32x4.mul(v128.load(at), inverses));
  }
  for (; i < length; i++) {
    const at = start + ((<usize>i) << 2);
    store<f32>(at, load<f32>(at) * inverse);
  }
}

/** Turns rows from … to − 1 of dP into dS, in place; 0 at keys that a row does not see. */
export function causalSoftmaxBackward(
  probabilities: usize,
  slopes: usize,
  stride: i32,
  keys: i32,
  offset: i32,
  scale: f32,
  from: i32,
  to: i32,
): void {
  for (let row = from; row < to; row++) {
    const start = (<usize>row * <usize>stride) << 2;
    const p = probabilities + start;
    const d = slopes + start;
    const seen = min(keys, offset + row + 1);
    let sums = f32x4.splat(0);
    let i = 0;
    for (; i + 4 <= seen; i += 4) {
      const at = (<usize>i) << 2;
      sums = f32x4.add(sums, f32x4.mul(v128.load(p + at), v128.load(d + at)));
    }
    let sum = sum4(sums);
    for (; i < seen; i++) sum += load<f32>(p + ((<usize>i) << 2)) * load<f32>(d + ((<usize>i) << 2));
    const totals = f32x4.splat(sum);
    const scales = f32x4.splat(scale);
    for (i = 0; i + 4 <= seen; i += 4) {
      const at = (<usize>i) << 2;
      const slope = f32x4.mul(v128.load(p + at), f32x4.sub(v128.load(d + at), totals));
      v128.store(d + at, f32x4.mul(slope, scales));
    }
    for (; i < seen; i++) {
      const at = (<usize>i) << 2;
      store<f32>(d + at, load<f32>(p + at) * (load<f32>(d + at) - sum) * scale);
    }
    memory.fill(d + ((<usize>seen) << 2), 0, (<usize>(keys - seen)) << 2);
  }
}

/**
 * Attention of one new token on everything before it, key-value heads from … to − 1.
 *
 * @param q [kvHeads · group, headDim] @param keys, values [kvHeads, capacity, headDim], `length` of them filled.
 * @param scores room for `length` floats for each query head. @param out like q.
 */
export function attendOne(
  q: usize,
  keys: usize,
  values: usize,
  out: usize,
  scores: usize,
  group: i32,
  headDim: i32,
  length: i32,
  capacity: i32,
  scale: f32,
  from: i32,
  to: i32,
): void {
  const rowBytes = (<usize>headDim) << 2;
  for (let head = from; head < to; head++) {
    const k = keys + <usize>head * <usize>capacity * rowBytes;
    const v = values + <usize>head * <usize>capacity * rowBytes;
    for (let member = 0; member < group; member++) {
      const index = <usize>(head * group + member);
      const query = q + index * rowBytes;
      const mixed = out + index * rowBytes;
      const room = scores + ((index * <usize>length) << 2);
      for (let t = 0; t < length; t++) {
        store<f32>(room + ((<usize>t) << 2), dotProduct(query, k + <usize>t * rowBytes, headDim));
      }
      softmaxRow(room, length, scale);
      memory.fill(mixed, 0, rowBytes);
      for (let t = 0; t < length; t++) {
        addScaled(mixed, v + <usize>t * rowBytes, load<f32>(room + ((<usize>t) << 2)), headDim);
      }
    }
  }
}

function dotProduct(a: usize, b: usize, width: i32): f32 {
  let sums = f32x4.splat(0);
  let i = 0;
  for (; i + 4 <= width; i += 4) {
    const at = (<usize>i) << 2;
    sums = f32x4.add(sums, f32x4.mul(v128.load(a + at), v128.load(b + at)));
  }
  let sum = sum4(sums);
  for (; i < width; i++) sum += load<f32>(a + ((<usize>i) << 2)) * load<f32>(b + ((<usize>i) << 2));
  return sum;
}

function addScaled(y: usize, x: usize, factor: f32, width: i32): void {
  const factors = f32x4.splat(factor);
  let i = 0;
  for (; i + 4 <= width; i += 4) {
    const at = (<usize>i) << 2;
    v128.store(y + at, f32x4.add(v128.load(y + at), f32x4.mul(v128.load(x + at), factors)));
  }
  for (; i < width; i++) {
    const at = (<usize>i) << 2;
    store<f32>(y + at, load<f32>(y + at) + load<f32>(x + at) * factor);
  }
}

/**
 * Copies rows from … to − 1 of keys or values behind what a cache holds.
 *
 * @param x [rows, heads · headDim] @param cache [heads, capacity, headDim] @param length how much it holds.
 */
export function appendHeads(
  x: usize,
  cache: usize,
  heads: i32,
  headDim: i32,
  capacity: i32,
  length: i32,
  from: i32,
  to: i32,
): void {
  const bytes = (<usize>headDim) << 2;
  for (let row = from; row < to; row++) {
    for (let head = 0; head < heads; head++) {
      const source = x + (<usize>row * <usize>heads + <usize>head) * bytes;
      memory.copy(cache + (<usize>head * <usize>capacity + <usize>(length + row)) * bytes, source, bytes);
    }
  }
}
