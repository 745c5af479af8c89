import type { Machine } from "./machine.js";
import type { Product } from "./product.js";

/** Rows start … start + length − 1 of what one pass computes. */
export interface RowGroup {
  readonly start: number;
  readonly length: number;
  /** Each row by itself; else they are one sequence's, and computed together. */
  readonly alone: boolean;
}

/**
 * A machine whose products have the rows of all groups, and do them group by group: the bits of a row depend on its own group alone, and
 * those of a row alone on nothing but itself. Where rows alone are as fast, all are alone. For products of activations with weights.
 */
export function inGroups(machine: Machine, groups: readonly RowGroup[]): Machine {
  const multiplyAll = (products: readonly Product[]): void =>
    machine.multiplyAll(
      products.flatMap((product) => {
        if (machine.rowsAloneAreFast(product)) return [{ ...product, rowsAlone: true }];
        return groups.map(({ start, length, alone }) => ({
          ...product,
          m: length,
          a: product.a + start * product.lda * 4,
          c: product.c + start * product.ldc * 4,
          rowsAlone: alone,
        }));
      }),
    );
  return { ...machine, multiplyAll, multiply: (product) => multiplyAll([product]) };
}
