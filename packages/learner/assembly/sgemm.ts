import { multiplyRows } from "./rows";

/*
 * C = α op(A) op(B) + β C in float32, row-major, for machines without a BLAS of their own (after Goto & van de Geijn, "Anatomy of
 * High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008): blocks of A and B are packed into panels of 4 rows and 8 columns that
 * stay in the caches, and a kernel keeps a 4 × 8 tile of C in registers.
 */

const TILE_ROWS: i32 = 4;
const TILE_COLUMNS: i32 = 8;
const BLOCK_DEPTH: i32 = 256;
const BLOCK_ROWS: i32 = 128;
const BLOCK_COLUMNS: i32 = 512;
/** Up to so many rows nothing is packed. */
const FEW_ROWS: i32 = 2;

/** Where this instance packs blocks: each thread has an instance, and a room, of its own. */
let room: usize = 0;

/** Bytes that {@link useRoom} needs. */
export function roomBytes(): i32 {
  return (BLOCK_DEPTH * (BLOCK_ROWS + BLOCK_COLUMNS) + TILE_ROWS * TILE_COLUMNS) << 2;
}

/** Gives this instance memory to pack blocks in. */
export function useRoom(address: usize): void {
  room = address;
}

/** op(A) [m, k], op(B) [k, n], C [m, n]; ld: floats from one row of what is stored to the next. */
export function sgemm(
  transposeA: i32,
  transposeB: i32,
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
  if (transposeB && !transposeA && m <= FEW_ROWS) {
    multiplyRows(m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    return;
  }
  if (beta !== 1) scaleBlock(c, ldc, beta, m, n);
  const packedB = room;
  const packedA = room + ((<usize>BLOCK_DEPTH * <usize>BLOCK_COLUMNS) << 2);
  const tile = packedA + ((<usize>BLOCK_DEPTH * <usize>BLOCK_ROWS) << 2);
  for (let column = 0; column < n; column += BLOCK_COLUMNS) {
    const columns = min(BLOCK_COLUMNS, n - column);
    for (let start = 0; start < k; start += BLOCK_DEPTH) {
      const depth = min(BLOCK_DEPTH, k - start);
      packB(transposeB, b, ldb, start, depth, column, columns, packedB);
      for (let row = 0; row < m; row += BLOCK_ROWS) {
        const rows = min(BLOCK_ROWS, m - row);
        packA(transposeA, a, lda, row, rows, start, depth, alpha, packedA);
        multiplyBlock(packedA, packedB, rows, columns, depth, c, ldc, row, column, tile);
      }
    }
  }
}

function scaleBlock(c: usize, ldc: i32, beta: f32, m: i32, n: i32): void {
  for (let row = 0; row < m; row++) {
    const start = c + ((<usize>row * <usize>ldc) << 2);
    if (beta === 0) memory.fill(start, 0, (<usize>n) << 2);
    else {
      for (let i = 0; i < n; i++) {
        const at = start + ((<usize>i) << 2);
        store<f32>(at, load<f32>(at) * beta);
      }
    }
  }
}

/** Panels of 4 rows, depth first, scaled by α; the last one filled up with zeros. */
function packA(
  transposed: i32,
  a: usize,
  lda: i32,
  row: i32,
  rows: i32,
  start: i32,
  depth: i32,
  alpha: f32,
  packed: usize,
): void {
  let out = packed;
  const rowStep: usize = transposed ? 4 : (<usize>lda) << 2;
  const depthStep: usize = transposed ? (<usize>lda) << 2 : 4;
  for (let panel = 0; panel < rows; panel += TILE_ROWS) {
    let source = a + <usize>(row + panel) * rowStep + <usize>start * depthStep;
    const count = min(TILE_ROWS, rows - panel);
    if (count === TILE_ROWS) {
      for (let p = 0; p < depth; p++) {
        store<f32>(out, alpha * load<f32>(source));
        store<f32>(out, alpha * load<f32>(source + rowStep), 4);
        store<f32>(out, alpha * load<f32>(source + 2 * rowStep), 8);
        store<f32>(out, alpha * load<f32>(source + 3 * rowStep), 12);
        source += depthStep;
        out += 16;
      }
    } else {
      for (let p = 0; p < depth; p++) {
        for (let i = 0; i < TILE_ROWS; i++) {
          store<f32>(out + ((<usize>i) << 2), i < count ? alpha * load<f32>(source + <usize>i * rowStep) : 0);
        }
        source += depthStep;
        out += 16;
      }
    }
  }
}

/** Panels of 8 columns, depth first; the last one filled up with zeros. */
function packB(
  transposed: i32,
  b: usize,
  ldb: i32,
  start: i32,
  depth: i32,
  column: i32,
  columns: i32,
  packed: usize,
): void {
  let out = packed;
  const columnStep: usize = transposed ? (<usize>ldb) << 2 : 4;
  const depthStep: usize = transposed ? 4 : (<usize>ldb) << 2;
  for (let panel = 0; panel < columns; panel += TILE_COLUMNS) {
    let source = b + <usize>(column + panel) * columnStep + <usize>start * depthStep;
    const count = min(TILE_COLUMNS, columns - panel);
    if (count === TILE_COLUMNS && !transposed) {
      for (let p = 0; p < depth; p++) {
        v128.store(out, v128.load(source));
        v128.store(out, v128.load(source, 16), 16);
        source += depthStep;
        out += 32;
      }
    } else if (count === TILE_COLUMNS) {
      for (let p = 0; p < depth; p++) {
        store<f32>(out, load<f32>(source));
        store<f32>(out, load<f32>(source + columnStep), 4);
        store<f32>(out, load<f32>(source + 2 * columnStep), 8);
        store<f32>(out, load<f32>(source + 3 * columnStep), 12);
        store<f32>(out, load<f32>(source + 4 * columnStep), 16);
        store<f32>(out, load<f32>(source + 5 * columnStep), 20);
        store<f32>(out, load<f32>(source + 6 * columnStep), 24);
        store<f32>(out, load<f32>(source + 7 * columnStep), 28);
        source += depthStep;
        out += 32;
      }
    } else {
      for (let p = 0; p < depth; p++) {
        for (let j = 0; j < TILE_COLUMNS; j++) {
          store<f32>(out + ((<usize>j) << 2), j < count ? load<f32>(source + <usize>j * columnStep) : 0);
        }
        source += depthStep;
        out += 32;
      }
    }
  }
}

/** C += A B of packed blocks. */
function multiplyBlock(
  packedA: usize,
  packedB: usize,
  rows: i32,
  columns: i32,
  depth: i32,
  c: usize,
  ldc: i32,
  row: i32,
  column: i32,
  tile: usize,
): void {
  for (let j = 0; j < columns; j += TILE_COLUMNS) {
    const panelB = packedB + ((<usize>j * <usize>depth) << 2);
    for (let i = 0; i < rows; i += TILE_ROWS) {
      const panelA = packedA + ((<usize>i * <usize>depth) << 2);
      const out = c + ((<usize>(row + i) * <usize>ldc + <usize>(column + j)) << 2);
      if (i + TILE_ROWS <= rows && j + TILE_COLUMNS <= columns) {
        multiplyTile(panelA, panelB, depth, out, (<usize>ldc) << 2);
      } else {
        memory.fill(tile, 0, (TILE_ROWS * TILE_COLUMNS) << 2);
        multiplyTile(panelA, panelB, depth, tile, (<usize>TILE_COLUMNS) << 2);
        addTile(tile, out, ldc, min(TILE_ROWS, rows - i), min(TILE_COLUMNS, columns - j));
      }
    }
  }
}

function addTile(tile: usize, c: usize, ldc: i32, rows: i32, columns: i32): void {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const at = c + ((<usize>i * <usize>ldc + <usize>j) << 2);
      store<f32>(at, load<f32>(at) + load<f32>(tile + ((<usize>(i * TILE_COLUMNS + j)) << 2)));
    }
  }
}

/** A 4 × 8 tile of C += one panel of A times one panel of B. */
function multiplyTile(panelA: usize, panelB: usize, depth: i32, c: usize, step: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0);
  let c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0);
  let c31 = f32x4.splat(0);
  let a = panelA;
  let b = panelB;
  for (let p = 0; p < depth; p++) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const a0 = v128.load32_splat(a);
    c00 = f32x4.add(c00, f32x4.mul(a0, b0));
    c01 = f32x4.add(c01, f32x4.mul(a0, b1));
    const a1 = v128.load32_splat(a, 4);
    c10 = f32x4.add(c10, f32x4.mul(a1, b0));
    c11 = f32x4.add(c11, f32x4.mul(a1, b1));
    const a2 = v128.load32_splat(a, 8);
    c20 = f32x4.add(c20, f32x4.mul(a2, b0));
    c21 = f32x4.add(c21, f32x4.mul(a2, b1));
    const a3 = v128.load32_splat(a, 12);
    c30 = f32x4.add(c30, f32x4.mul(a3, b0));
    c31 = f32x4.add(c31, f32x4.mul(a3, b1));
    a += 16;
    b += 32;
  }
  addPair(c, c00, c01);
  addPair(c + step, c10, c11);
  addPair(c + 2 * step, c20, c21);
  addPair(c + 3 * step, c30, c31);
}

function addPair(c: usize, left: v128, right: v128): void {
  v128.store(c, f32x4.add(v128.load(c), left));
  v128.store(c, f32x4.add(v128.load(c, 16), right), 16);
}
