import { rotaryFrequencies, rotaryMagnitude } from "../tensor/rotary-frequencies.js";
import { headDimOf, type TransformerConfig } from "../tensor/transformer-config.js";
import type { Arena } from "./arena.js";
import type { Address } from "./kernels.js";

/** Cosines and sines of the rotary angles θ_j = position · ω_j, made as far as they were needed. Both [positions, headDim / 2]. */
export interface RotaryTable {
  /** Makes the table hold `positions`. Not while a pass runs. */
  reach(positions: number): void;
  readonly cos: Address;
  readonly sin: Address;
  free(): void;
}

/** Opens an empty table. */
export function openRotaryTable(arena: Arena, config: TransformerConfig): RotaryTable {
  const headDim = headDimOf(config);
  const half = headDim / 2;
  const frequencies = rotaryFrequencies(config.rope_theta, headDim, config.rope_scaling);
  const magnitude = rotaryMagnitude(config.rope_scaling);
  let [held, cos, sin] = [0, 0, 0];
  const free = () => {
    if (held === 0) return;
    arena.free(cos);
    arena.free(sin);
    held = 0;
  };
  return {
    reach(positions) {
      if (positions <= held) return;
      const wanted = Math.max(64, 2 ** Math.ceil(Math.log2(positions)));
      free();
      [cos, sin, held] = [arena.allocate(wanted * half), arena.allocate(wanted * half), wanted];
      const { floats } = arena;
      for (let position = 0; position < wanted; position++) {
        for (let j = 0; j < half; j++) {
          const angle = position * frequencies[j]!;
          floats[cos / 4 + position * half + j] = magnitude * Math.cos(angle);
          floats[sin / 4 + position * half + j] = magnitude * Math.sin(angle);
        }
      }
    },
    get cos() {
      return cos;
    },
    get sin() {
      return sin;
    },
    free,
  };
}
