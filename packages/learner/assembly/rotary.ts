/**
 * Rotary position embedding (arXiv:2104.09864) in the half-split layout of Llama checkpoints, in place, rows from … to − 1.
 *
 *   [a, b] → [a cos − b sin, b cos + a sin],  θ_j = position · ω_j        backward: the same with −sin
 *
 * @param x [rows, heads · headDim] @param cos, sin of each position. [positions, headDim / 2]
 * @param positions int32. [rows] @param direction 1 forward, −1 backward.
 */
export function rotary(
  x: usize,
  cos: usize,
  sin: usize,
  positions: usize,
  heads: i32,
  headDim: i32,
  direction: f32,
  from: i32,
  to: i32,
): void {
  const half = headDim >> 1;
  const halfBytes = (<usize>half) << 2;
  const signs = f32x4.splat(direction);
  for (let row = from; row < to; row++) {
    const angle = <usize>load<i32>(positions + ((<usize>row) << 2)) * halfBytes;
    for (let head = 0; head < heads; head++) {
      const first = x + (((<usize>row * <usize>heads + <usize>head) * <usize>headDim) << 2);
      const second = first + halfBytes;
      let j = 0;
      for (; j + 4 <= half; j += 4) {
        const at = (<usize>j) << 2;
        const c = v128.load(cos + angle + at);
        const s = f32x4.mul(v128.load(sin + angle + at), signs);
        const a = v128.load(first + at);
        const b = v128.load(second + at);
        v128.store(first + at, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)));
        v128.store(second + at, f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s)));
      }
      for (; j < half; j++) {
        const at = (<usize>j) << 2;
        const c = load<f32>(cos + angle + at);
        const s = load<f32>(sin + angle + at) * direction;
        const a = load<f32>(first + at);
        const b = load<f32>(second + at);
        store<f32>(first + at, a * c - b * s);
        store<f32>(second + at, b * c + a * s);
      }
    }
  }
}
