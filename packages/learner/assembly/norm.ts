import { sum4 } from "./exponential";

/*
 * Root-mean-square normalisation of rows (arXiv:1910.07467).
 *
 *   y = w ⊙ x · s,  s = (mean(x²) + ε)^(−1/2)
 *   dx = s · (g − x · s² · mean(g ⊙ x)),  g = dy ⊙ w        dw = Σ_rows dy ⊙ x · s
 *
 * Addresses are in bytes. x, y [rows, width]; scale [rows]; w [width].
 */

/** Writes y and s of rows from … to − 1. */
export function rmsNorm(
  x: usize,
  w: usize,
  y: usize,
  scale: usize,
  epsilon: f32,
  width: i32,
  from: i32,
  to: i32,
): void {
  for (let row = from; row < to; row++) {
    const input = x + ((<usize>row * <usize>width) << 2);
    let squares = f32x4.splat(0);
    let i = 0;
    for (; i + 4 <= width; i += 4) {
      const value = v128.load(input + ((<usize>i) << 2));
      squares = f32x4.add(squares, f32x4.mul(value, value));
    }
    let sum = sum4(squares);
    for (; i < width; i++) {
      const value = load<f32>(input + ((<usize>i) << 2));
      sum += value * value;
    }
    const s = <f32>1 / sqrt<f32>(sum / <f32>width + epsilon);
    store<f32>(scale + ((<usize>row) << 2), s);
    applyRow(input, w, y + ((<usize>row * <usize>width) << 2), s, width);
  }
}

/** Writes y of rows from … to − 1 again, from the s that was kept. */
export function rmsNormAgain(x: usize, w: usize, y: usize, scale: usize, width: i32, from: i32, to: i32): void {
  for (let row = from; row < to; row++) {
    const offset = (<usize>row * <usize>width) << 2;
    applyRow(x + offset, w, y + offset, load<f32>(scale + ((<usize>row) << 2)), width);
  }
}

function applyRow(x: usize, w: usize, y: usize, s: f32, width: i32): void {
  const scales = f32x4.splat(s);
  let i = 0;
  for (; i + 4 <= width; i += 4) {
    const at = (<usize>i) << 2;
    v128.store(y + at, f32x4.mul(f32x4.mul(v128.load(x + at), scales), v128.load(w + at)));
  }
  for (; i < width; i++) {
    const at = (<usize>i) << 2;
    store<f32>(y + at, load<f32>(x + at) * s * load<f32>(w + at));
  }
}

/** Writes dx, or adds to it, of rows from … to − 1. dx may be dy. */
export function rmsNormBackward(
  x: usize,
  w: usize,
  scale: usize,
  dy: usize,
  dx: usize,
  adds: i32,
  width: i32,
  from: i32,
  to: i32,
): void {
  for (let row = from; row < to; row++) {
    const offset = (<usize>row * <usize>width) << 2;
    const input = x + offset;
    const slope = dy + offset;
    const out = dx + offset;
    const s = load<f32>(scale + ((<usize>row) << 2));
    let products = f32x4.splat(0);
    let i = 0;
    for (; i + 4 <= width; i += 4) {
      const at = (<usize>i) << 2;
      const g = f32x4.mul(v128.load(slope + at), v128.load(w + at));
      products = f32x4.add(products, f32x4.mul(g, v128.load(input + at)));
    }
    let sum = sum4(products);
    for (; i < width; i++) {
      const at = (<usize>i) << 2;
      sum += load<f32>(slope + at) * load<f32>(w + at) * load<f32>(input + at);
    }
    const pull = (s * s * sum) / <f32>width;
    const pulls = f32x4.splat(pull);
    const scales = f32x4.splat(s);
    for (i = 0; i + 4 <= width; i += 4) {
      const at = (<usize>i) << 2;
      const g = f32x4.mul(v128.load(slope + at), v128.load(w + at));
      const value = f32x4.mul(scales, f32x4.sub(g, f32x4.mul(v128.load(input + at), pulls)));
      v128.store(out + at, adds ? f32x4.add(v128.load(out + at), value) : value);
    }
    for (; i < width; i++) {
      const at = (<usize>i) << 2;
      const value = s * (load<f32>(slope + at) * load<f32>(w + at) - load<f32>(input + at) * pull);
      store<f32>(out + at, adds ? load<f32>(out + at) + value : value);
    }
  }
}

/** Adds to dw over all rows, for columns from … to − 1. */
export function rmsNormWeightGradient(
  x: usize,
  scale: usize,
  dy: usize,
  dw: usize,
  width: i32,
  rows: i32,
  from: i32,
  to: i32,
): void {
  for (let row = 0; row < rows; row++) {
    const offset = (<usize>row * <usize>width) << 2;
    const s = load<f32>(scale + ((<usize>row) << 2));
    const scales = f32x4.splat(s);
    let i = from;
    for (; i + 4 <= to; i += 4) {
      const at = (<usize>i) << 2;
      const unit = f32x4.mul(v128.load(x + offset + at), scales);
      v128.store(dw + at, f32x4.add(v128.load(dw + at), f32x4.mul(v128.load(dy + offset + at), unit)));
    }
    for (; i < to; i++) {
      const at = (<usize>i) << 2;
      store<f32>(dw + at, load<f32>(dw + at) + load<f32>(dy + offset + at) * load<f32>(x + offset + at) * s);
    }
  }
}
