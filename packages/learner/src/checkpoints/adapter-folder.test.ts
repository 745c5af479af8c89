import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRandom } from "@afterstate/core";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { initialAdapter, LORA_TARGETS, type LoraConfig } from "../tensor/lora-config.js";
import { learnedShapes } from "../tensor/transformer-config.js";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import type { PolicyWeights } from "../types.js";
import { readAdapterFolder, writeAdapterFolder } from "./adapter-folder.js";
import { CheckpointError } from "./checkpoint-error.js";
import { encodeSafetensors } from "./safetensors.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "afterstate-adapter-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const LORA: LoraConfig = { r: 2, lora_alpha: 6, target_modules: ["q_proj", "v_proj", "down_proj"] };
const configPath = () => join(folder, "adapter_config.json");
const weightsPath = () => join(folder, "adapter_model.safetensors");

/** Adapters whose B is not zero. */
function drawAdapter(lora: LoraConfig): PolicyWeights {
  const random = createRandom(3);
  const shapes = learnedShapes({ ...TINY_CONFIG, lora });
  return new Map(
    [...initialAdapter(shapes, 1)].map(([name, { shape, data }]) => [
      name,
      { shape, data: data.map(() => random.next() - 0.5) },
    ]),
  );
}

function write(lora = LORA, changes: object = {}): PolicyWeights {
  const adapter = drawAdapter(lora);
  writeAdapterFolder(folder, { lora, adapter }, "base");
  const config = JSON.parse(readFileSync(configPath(), "utf8"));
  writeFileSync(configPath(), JSON.stringify({ ...config, ...changes }));
  return adapter;
}

function refusal(config = TINY_CONFIG): unknown {
  try {
    readAdapterFolder(folder, config);
  } catch (cause) {
    return cause;
  }
  return undefined;
}

describe("an adapter folder", () => {
  it("comes back as it was written", () => {
    const adapter = write();
    const read = readAdapterFolder(folder, TINY_CONFIG);
    expect(read.lora).toEqual(LORA);
    expect([...read.adapter]).toEqual([...adapter]);
  });

  it("is read with all that PEFT writes beside what matters", () => {
    const adapter = write(LORA, {
      alora_invocation_tokens: null,
      alpha_pattern: {},
      eva_config: null,
      fan_in_fan_out: false,
      init_lora_weights: "gaussian",
      layers_to_transform: [],
      lora_dropout: 0.05,
      megatron_core: "megatron.core",
      peft_version: "0.21.2",
      qalora_group_size: 16,
      runtime_config: { ephemeral_gpu_offload: false },
      use_rslora: false,
    });
    expect([...readAdapterFolder(folder, TINY_CONFIG).adapter]).toEqual([...adapter]);
  });

  it("is read when PEFT lists each matrix with its path, or asks for all of them", () => {
    const lora = { ...LORA, target_modules: LORA_TARGETS };
    const paths = [0, 1].flatMap((layer) => LORA_TARGETS.map((target) => `model.layers.${layer}.some.${target}`));
    for (const target_modules of [paths, "all-linear"]) {
      write(lora, { target_modules });
      expect(readAdapterFolder(folder, TINY_CONFIG).lora).toEqual(lora);
    }
  });

  it.each([
    ["peft_type", "IA3"],
    ["use_rslora", true],
    ["use_dora", true],
    ["bias", "all"],
    ["lora_bias", true],
    ["rank_pattern", { q_proj: 4 }],
    ["alpha_pattern", { q_proj: 4 }],
    ["modules_to_save", ["lm_head"]],
    ["layers_to_transform", [0]],
    ["exclude_modules", "v_proj"],
    ["fan_in_fan_out", true],
    ["init_lora_weights", "pissa"],
    ["target_modules", ["q_proj", "lm_head"]],
    ["target_modules", ".*_proj"],
    ["a_field_of_tomorrow", { scale: 2 }],
  ])("is refused when %s is %j, by name", (field, value) => {
    write(LORA, { [field]: value });
    const failure = refusal() as Error;
    expect(failure).toMatchObject({ code: "checkpoint/unsupported", file: configPath() });
    expect(failure.message).toContain(`"${field}"`);
    expect(failure.message).toContain(`found ${JSON.stringify(value)}`);
  });

  it.each([
    ["r", 0],
    ["r", "16"],
    ["lora_alpha", -1],
  ])("is refused when %s is %j, which is no size of an adapter", (field, value) => {
    write(LORA, { [field]: value });
    expect(refusal()).toMatchObject({ code: "checkpoint/corrupt", file: configPath(), found: JSON.stringify(value) });
  });

  it("is refused for another base or with other matrices, naming file, tensor, expected and found", () => {
    write();
    const query = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    const mismatch = { code: "checkpoint/mismatch", file: weightsPath() };
    const wider = { ...mismatch, tensor: query, expected: "shape [2, 16]", found: "shape [2, 8]" };
    expect(refusal({ ...TINY_CONFIG, hidden_size: 16 })).toMatchObject(wider);
    write(LORA, { target_modules: [...LORA.target_modules, "k_proj"] });
    const key = "base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight";
    expect(refusal()).toMatchObject({ ...mismatch, tensor: key, expected: "shape [2, 8]", found: "nothing" });
    write(LORA, { target_modules: ["q_proj", "v_proj"] });
    const surplus = "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight";
    expect(refusal()).toMatchObject({ ...mismatch, tensor: surplus, expected: "no such tensor" });
    write(LORA, { r: 4 });
    expect(refusal()).toMatchObject({ ...mismatch, tensor: query, expected: "shape [4, 8]", found: "shape [2, 8]" });
  });

  it("is refused when it is cut short, absent or not finite", () => {
    const adapter = write();
    truncateSync(weightsPath(), 2000);
    expect(refusal()).toMatchObject({ code: "checkpoint/corrupt", file: weightsPath(), found: "2000 bytes" });
    rmSync(weightsPath());
    expect(refusal()).toMatchObject({ code: "checkpoint/missing", file: weightsPath() });
    adapter.values().next().value!.data[3] = Number.NaN;
    writeFileSync(weightsPath(), encodeSafetensors(adapter));
    expect(refusal()).toMatchObject({ code: "checkpoint/corrupt", file: weightsPath(), found: "NaN at element 3" });
    rmSync(configPath());
    expect(refusal()).toMatchObject({ code: "checkpoint/missing", file: configPath() });
  });

  it("is read or refused by name, whatever a field says", () => {
    write();
    const config = JSON.parse(readFileSync(configPath(), "utf8")) as object;
    const fields = [...Object.keys(config), "rank_pattern", "init_lora_weights", "use_dora"];
    let refused = 0;
    fc.assert(
      fc.property(fc.constantFrom(...fields), fc.jsonValue(), (field, value) => {
        writeFileSync(configPath(), JSON.stringify({ ...config, [field]: value }));
        const failure = refusal();
        if (failure === undefined) return;
        expect(failure).toBeInstanceOf(CheckpointError);
        expect((failure as Error).message).toContain(folder);
        refused++;
      }),
      { numRuns: 500 },
    );
    expect(refused).toBeGreaterThan(100);
  });

  it("is read or refused by name, whichever byte of its weights is another or missing", () => {
    write();
    const whole = readFileSync(weightsPath());
    let refused = 0;
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.boolean(), (at, byte, cut) => {
        const bytes = Buffer.from(cut ? whole.subarray(0, at) : whole);
        if (!cut) bytes[at] = byte;
        writeFileSync(weightsPath(), bytes);
        const failure = refusal();
        if (failure === undefined) return;
        expect(failure).toBeInstanceOf(CheckpointError);
        expect((failure as CheckpointError).file).toBe(weightsPath());
        refused++;
      }),
      { numRuns: 500 },
    );
    expect(refused).toBeGreaterThan(200);
  });
});
