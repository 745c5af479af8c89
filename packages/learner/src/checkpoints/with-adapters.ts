import { LORA_TARGETS } from "../tensor/lora-config.js";
import type { PolicyFiles } from "./policy-folder.js";

/** A model whose matrices all get adapters of a rank, which add α ÷ r = 2 times what they are: these learn, and its own weights stay. */
export function withAdapters(files: PolicyFiles, rank: number): PolicyFiles {
  const lora = { r: rank, lora_alpha: 2 * rank, target_modules: LORA_TARGETS };
  return { ...files, config: { ...files.config, lora } };
}
