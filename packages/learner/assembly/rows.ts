import { sum4 } from "./exponential";

/*
 * C = α A Bᵀ + β C where no element depends on the rows and columns beside it: each is added up in the order of `dotProduct`, however many
 * are computed together. B is read as it lies.
 */

/** Rows that are taken together. */
const ROWS: i32 = 4;
/** Columns that stay in the caches while all rows pass. */
const COLUMNS: i32 = 64;

/** A [m, k], B [n, k], C [m, n]; ld: floats from one stored row to the next. */
export function multiplyRows(
  m: i32,
  n: i32,
  k: i32,
  alpha: f32,
  a: usize,
  lda: i32,
  b: usize,
  ldb: i32,
  beta: f32,
  c: usize,
  ldc: i32,
): void {
  const stepA = (<usize>lda) << 2;
  const stepB = (<usize>ldb) << 2;
  const stepC = (<usize>ldc) << 2;
  for (let from = 0; from < n; from += COLUMNS) {
    const to = min(n, from + COLUMNS);
    let row = 0;
    for (; row + ROWS <= m; row += ROWS) {
      const x = a + <usize>row * stepA;
      const out = c + <usize>row * stepC;
      let column = from;
      for (; column + 2 <= to; column += 2) {
        tallTile(x, stepA, b + <usize>column * stepB, stepB, out + ((<usize>column) << 2), stepC, k, alpha, beta);
      }
      for (; column < to; column++) {
        for (let i = 0; i < ROWS; i++) {
          const sum = dotProduct(x + <usize>i * stepA, b + <usize>column * stepB, k);
          put(out + <usize>i * stepC + ((<usize>column) << 2), sum, alpha, beta);
        }
      }
    }
    for (; row < m; row++) {
      const x = a + <usize>row * stepA;
      const out = c + <usize>row * stepC;
      let column = from;
      for (; column + 4 <= to; column += 4) {
        wideTile(x, b + <usize>column * stepB, stepB, out + ((<usize>column) << 2), k, alpha, beta);
      }
      for (; column < to; column++) {
        put(out + ((<usize>column) << 2), dotProduct(x, b + <usize>column * stepB, k), alpha, beta);
      }
    }
  }
}

function put(at: usize, sum: f32, alpha: f32, beta: f32): void {
  store<f32>(at, beta === 0 ? alpha * sum : alpha * sum + beta * load<f32>(at));
}

/** Four partial sums, every fourth product in each, and what is left after them. */
function dotProduct(x: usize, w: usize, k: i32): f32 {
  let sums = f32x4.splat(0);
  const end = x + ((<usize>(k & ~3)) << 2);
  for (; x < end; x += 16, w += 16) sums = f32x4.add(sums, f32x4.mul(v128.load(x), v128.load(w)));
  return withRest(sums, x, w, k & 3);
}

function withRest(sums: v128, x: usize, w: usize, rest: i32): f32 {
  let sum = sum4(sums);
  for (let i = 0; i < rest; i++) sum += load<f32>(x + ((<usize>i) << 2)) * load<f32>(w + ((<usize>i) << 2));
  return sum;
}

/** One row, four columns. */
function wideTile(x: usize, w0: usize, step: usize, c: usize, k: i32, alpha: f32, beta: f32): void {
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(0);
  let s2 = f32x4.splat(0);
  let s3 = f32x4.splat(0);
  let w1 = w0 + step;
  let w2 = w1 + step;
  let w3 = w2 + step;
  const end = x + ((<usize>(k & ~3)) << 2);
  for (; x < end; ) {
    const v = v128.load(x);
    s0 = f32x4.add(s0, f32x4.mul(v, v128.load(w0)));
    s1 = f32x4.add(s1, f32x4.mul(v, v128.load(w1)));
    s2 = f32x4.add(s2, f32x4.mul(v, v128.load(w2)));
    s3 = f32x4.add(s3, f32x4.mul(v, v128.load(w3)));
    x += 16;
    w0 += 16;
    w1 += 16;
    w2 += 16;
    w3 += 16;
  }
  const rest = k & 3;
  put(c, withRest(s0, x, w0, rest), alpha, beta);
  put(c + 4, withRest(s1, x, w1, rest), alpha, beta);
  put(c + 8, withRest(s2, x, w2, rest), alpha, beta);
  put(c + 12, withRest(s3, x, w3, rest), alpha, beta);
}

/** Four rows, two columns. */
function tallTile(
  x0: usize,
  stepX: usize,
  w0: usize,
  stepW: usize,
  c: usize,
  stepC: usize,
  k: i32,
  alpha: f32,
  beta: f32,
): void {
  let s00 = f32x4.splat(0);
  let s01 = f32x4.splat(0);
  let s10 = f32x4.splat(0);
  let s11 = f32x4.splat(0);
  let s20 = f32x4.splat(0);
  let s21 = f32x4.splat(0);
  let s30 = f32x4.splat(0);
  let s31 = f32x4.splat(0);
  let x1 = x0 + stepX;
  let x2 = x1 + stepX;
  let x3 = x2 + stepX;
  let w1 = w0 + stepW;
  const end = x0 + ((<usize>(k & ~3)) << 2);
  for (; x0 < end; ) {
    const left = v128.load(w0);
    const right = v128.load(w1);
    let v = v128.load(x0);
    s00 = f32x4.add(s00, f32x4.mul(v, left));
    s01 = f32x4.add(s01, f32x4.mul(v, right));
    v = v128.load(x1);
    s10 = f32x4.add(s10, f32x4.mul(v, left));
    s11 = f32x4.add(s11, f32x4.mul(v, right));
    v = v128.load(x2);
    s20 = f32x4.add(s20, f32x4.mul(v, left));
    s21 = f32x4.add(s21, f32x4.mul(v, right));
    v = v128.load(x3);
    s30 = f32x4.add(s30, f32x4.mul(v, left));
    s31 = f32x4.add(s31, f32x4.mul(v, right));
    x0 += 16;
    x1 += 16;
    x2 += 16;
    x3 += 16;
    w0 += 16;
    w1 += 16;
  }
  const rest = k & 3;
  putPair(c, s00, s01, x0, w0, w1, rest, alpha, beta);
  putPair(c + stepC, s10, s11, x1, w0, w1, rest, alpha, beta);
  putPair(c + 2 * stepC, s20, s21, x2, w0, w1, rest, alpha, beta);
  putPair(c + 3 * stepC, s30, s31, x3, w0, w1, rest, alpha, beta);
}

function putPair(
  c: usize,
  left: v128,
  right: v128,
  x: usize,
  w0: usize,
  w1: usize,
  rest: i32,
  alpha: f32,
  beta: f32,
): void {
  put(c, withRest(left, x, w0, rest), alpha, beta);
  put(c + 4, withRest(right, x, w1, rest), alpha, beta);
}
