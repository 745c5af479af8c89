import { exp1, exp4 } from "./exponential";

/*
 * Gated activation of the feed-forward layer (SwiGLU, arXiv:2002.05202), element by element.
 *
 *   y = g · σ(g) ⊙ u        dg = dy ⊙ u ⊙ σ(g)(1 + g(1 − σ(g)))        du = dy ⊙ g · σ(g)
 */

/** Writes y of elements from … to − 1. */
export function swiglu(gate: usize, up: usize, y: usize, from: i32, to: i32): void {
  const one = f32x4.splat(1);
  let i = from;
  for (; i + 4 <= to; i += 4) {
    const at = (<usize>i) << 2;
    const g = v128.load(gate + at);
    const swish = f32x4.div(g, f32x4.add(one, exp4(f32x4.neg(g))));
    v128.store(y + at, f32x4.mul(swish, v128.load(up + at)));
  }
  for (; i < to; i++) {
    const at = (<usize>i) << 2;
    const g = load<f32>(gate + at);
    store<f32>(y + at, (g / (<f32>1 + exp1(-g))) * load<f32>(up + at));
  }
}

/** Of elements from … to − 1: gate becomes dg, up becomes du, and dy becomes y. */
export function swigluBackward(gate: usize, up: usize, dy: usize, from: i32, to: i32): void {
  const one = f32x4.splat(1);
  let i = from;
  for (; i + 4 <= to; i += 4) {
    const at = (<usize>i) << 2;
    const g = v128.load(gate + at);
    const u = v128.load(up + at);
    const d = v128.load(dy + at);
    const sigma = f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(g))));
    const swish = f32x4.mul(g, sigma);
    const slope = f32x4.add(swish, f32x4.mul(sigma, f32x4.sub(one, swish)));
    v128.store(gate + at, f32x4.mul(f32x4.mul(d, u), slope));
    v128.store(up + at, f32x4.mul(d, swish));
    v128.store(dy + at, f32x4.mul(swish, u));
  }
  for (; i < to; i++) {
    const at = (<usize>i) << 2;
    const g = load<f32>(gate + at);
    const u = load<f32>(up + at);
    const d = load<f32>(dy + at);
    const sigma = <f32>1 / (<f32>1 + exp1(-g));
    const swish = g * sigma;
    store<f32>(gate + at, d * u * (swish + sigma * (<f32>1 - swish)));
    store<f32>(up + at, d * swish);
    store<f32>(dy + at, swish * u);
  }
}
