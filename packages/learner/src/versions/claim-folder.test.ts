import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { initialWeights } from "../tensor/transformer.js";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import { baseOf, claimFolder } from "./claim-folder.js";

const lora = { r: 2, lora_alpha: 4, target_modules: ["q_proj"] };
const tokenizer = { tokenizer: {}, tokenizerConfig: { chat_template: "", eos_token: "" } };
const base = (seed: number, name = `model ${seed}`, config = { ...TINY_CONFIG, lora }) =>
  baseOf({ ...tokenizer, config, weights: initialWeights(config, seed) }, name);

describe("a folder of versions", () => {
  let folder = "";
  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), "afterstate-claim-")), "data");
  });
  afterEach(() => rmSync(join(folder, ".."), { recursive: true, force: true }));

  it("goes on with the base that it was begun with, wherever that lies now", async () => {
    await claimFolder(folder, base(1));
    await claimFolder(folder, base(1));
    await claimFolder(folder, base(1, "moved/model"));
  });

  it.each([
    [
      "other weights",
      base(2),
      /holds what was learned over model 1 with adapters of rank 2 \(\w{8}\), not over model 2/,
    ],
    [
      "adapters of another rank",
      base(1, "model 1", { ...TINY_CONFIG, lora: { ...lora, r: 4 } }),
      /of rank 2 .* of rank 4/,
    ],
    ["another architecture", base(1, "other", { ...TINY_CONFIG, rope_theta: 5, lora }), /not over other/],
    [
      "no adapters",
      baseOf({ ...tokenizer, config: TINY_CONFIG, weights: initialWeights(TINY_CONFIG, 1) }, "all"),
      /over all/,
    ],
  ])("is refused to a base with %s, in one sentence", async (_, other, message) => {
    await claimFolder(folder, base(1));
    await expect(claimFolder(folder, other)).rejects.toThrow(message);
    await expect(claimFolder(folder, other)).rejects.toMatchObject({ code: "checkpoint/other-base" });
  });

  it.each(["", "{", "{}", "null"])("whose note is %j is refused", async (text) => {
    await claimFolder(folder, base(1));
    writeFileSync(join(folder, "base.json"), text);
    await expect(claimFolder(folder, base(1))).rejects.toMatchObject({ code: "checkpoint/corrupt" });
  });
});
