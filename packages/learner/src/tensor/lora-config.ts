import { AgentError, createRandom } from "@afterstate/core";
import type { PolicyWeights, WeightArray } from "../types.js";

/** Low-rank adapters (LoRA, arXiv:2106.09685). Names are those of PEFT's `adapter_config.json`. */
export interface LoraConfig {
  /** Rank r of the adapters. */
  readonly r: number;
  /** What an adapter adds is scaled by lora_alpha ÷ r. */
  readonly lora_alpha: number;
  /** Last names of the matrices that get an adapter, e.g. `q_proj`. */
  readonly target_modules: readonly string[];
}

/** The matrices of a layer that can have an adapter. */
export const LORA_TARGETS: readonly string[] = [
  "q_proj",
  "k_proj",
  "v_proj",
  "o_proj",
  "gate_proj",
  "up_proj",
  "down_proj",
];

/** PEFT's name of one half of an adapter; `module` is the matrix's name without `.weight`. */
export const loraName = (module: string, half: "A" | "B"): string => `base_model.model.${module}.lora_${half}.weight`;

/**
 * The name and shape of every adapter weight: A [r, in] and B [out, r].
 *
 * @param base names and shapes of the weights below.
 * @throws AgentError `lora/bad-config`.
 */
export function loraShapes(
  base: ReadonlyMap<string, readonly number[]>,
  lora: LoraConfig,
): ReadonlyMap<string, readonly number[]> {
  const unknown = lora.target_modules.find((target) => !LORA_TARGETS.includes(target));
  if (unknown !== undefined || lora.target_modules.length === 0) {
    throw new AgentError(
      "lora/bad-config",
      `target_modules ${unknown === undefined ? "is empty" : `has "${unknown}"`}; adapters go to ${LORA_TARGETS.join(", ")}`,
    );
  }
  if (!Number.isInteger(lora.r) || lora.r < 1 || !(lora.lora_alpha > 0)) {
    throw new AgentError(
      "lora/bad-config",
      `r is ${lora.r} and lora_alpha ${lora.lora_alpha}; r is a whole number from 1, lora_alpha above 0`,
    );
  }
  const shapes = new Map<string, readonly number[]>();
  for (const [name, [rows, columns]] of base) {
    const module = name.slice(0, -".weight".length);
    if (!name.endsWith(".weight") || !lora.target_modules.includes(module.slice(module.lastIndexOf(".") + 1))) continue;
    shapes.set(loraName(module, "A"), [lora.r, columns!]);
    shapes.set(loraName(module, "B"), [rows!, lora.r]);
  }
  return shapes;
}

/** New adapters, which change nothing yet: A uniform in ±1/√in (PEFT's Kaiming uniform, a = √5), B zero. */
export function initialAdapter(shapes: ReadonlyMap<string, readonly number[]>, seed: number): PolicyWeights {
  const random = createRandom(seed);
  const adapter = new Map<string, WeightArray>();
  for (const [name, shape] of shapes) {
    const data = new Float32Array(shape[0]! * shape[1]!);
    const bound = 1 / Math.sqrt(shape[1]!);
    if (name.endsWith("lora_A.weight")) for (let i = 0; i < data.length; i++) data[i] = (2 * random.next() - 1) * bound;
    adapter.set(name, { shape, data });
  }
  return adapter;
}

/** The base with the adapters in its matrices: W + (α / r) B A. What has no adapter is shared, not copied. */
export function mergeAdapter(base: PolicyWeights, adapter: PolicyWeights, lora: LoraConfig): PolicyWeights {
  const scale = lora.lora_alpha / lora.r;
  return new Map(
    [...base].map(([name, weight]) => {
      const module = name.slice(0, -".weight".length);
      const [a, b] = [adapter.get(loraName(module, "A"))?.data, adapter.get(loraName(module, "B"))?.data];
      if (a === undefined || b === undefined) return [name, weight];
      const [rows, columns] = weight.shape as [number, number];
      const data = Float32Array.from(weight.data);
      for (let row = 0; row < rows; row++) {
        for (let k = 0; k < lora.r; k++) {
          const factor = scale * b[row * lora.r + k]!;
          if (factor === 0) continue;
          for (let column = 0; column < columns; column++)
            data[row * columns + column]! += factor * a[k * columns + column]!;
        }
      }
      return [name, { shape: weight.shape, data }];
    }),
  );
}
