import { AgentError } from "@afterstate/core";

/** Numbers by [row][token]; rows may differ in length. */
export type Ragged = readonly (readonly number[])[];

/** A loss and its derivative by each new log-probability. */
export interface LossAndGradient {
  readonly loss: number;
  /** ∂ loss / ∂ log π_θ; exactly 0 where the mask is 0. [row][token] */
  readonly gradient: Ragged;
}

/** Applies `f` where the mask is 1 and gives exactly 0 elsewhere, whatever stands there. */
export function mapMasked(mask: Ragged, f: (row: number, token: number) => number): number[][] {
  return mask.map((tokens, row) => tokens.map((sampled, token) => (sampled ? f(row, token) : 0)));
}

/** @throws AgentError `tensor/shape` when `arrays` are not all of the shape of `mask`. */
export function assertSameShape(mask: Ragged, arrays: Readonly<Record<string, Ragged>>): void {
  for (const [name, rows] of Object.entries(arrays)) {
    const fits = rows.length === mask.length && rows.every((tokens, row) => tokens.length === mask[row]!.length);
    if (!fits) throw new AgentError("tensor/shape", `${name} has not the shape of the mask, [row][token]`);
  }
}
