import { AgentError } from "@afterstate/core";

/** Numbers by [row][token]; rows may differ in length. A row is a sequence, or one step of a trajectory. */
export type Ragged = readonly (readonly number[])[];

/** A loss and its derivative by each new log-probability: all that a backend needs for its backward pass. */
export interface LossAndGradient {
  readonly loss: number;
  /** ∂ loss / ∂ log π_θ; exactly 0 where the mask is 0. [row][token] */
  readonly gradient: Ragged;
}

/** Applies `f` where the mask is 1 and gives exactly 0 elsewhere, whatever stands there. */
export function mapMasked(mask: Ragged, f: (row: number, token: number) => number): number[][] {
  return mask.map((tokens, row) => tokens.map((sampled, token) => (sampled ? f(row, token) : 0)));
}

/** How many tokens of each row the policy sampled. [row] */
export function sampledCounts(mask: Ragged): number[] {
  return mask.map((tokens) => tokens.filter(Boolean).length);
}

/** @throws AgentError `tensor/shape` when `arrays` are not all of the shape of `mask`. */
export function assertSameShape(mask: Ragged, arrays: Readonly<Record<string, unknown>>): void {
  for (const [name, rows] of Object.entries(arrays)) {
    if (!isRagged(rows)) continue;
    const fits = rows.length === mask.length && rows.every((tokens, row) => tokens.length === mask[row]!.length);
    if (!fits) throw new AgentError("tensor/shape", `${name} has not the shape of the mask, [row][token]`);
  }
}

function isRagged(value: unknown): value is Ragged {
  return Array.isArray(value) && (value.length === 0 || Array.isArray(value[0]));
}
