import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";

interface Patch {
  readonly name: string;
  readonly file: string;
  readonly from: string | RegExp;
  readonly to: string;
}
interface Patches {
  readonly TFJS_NODE_PATCHES: readonly Patch[];
  patched(text: string, patch: Patch): string;
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const { TFJS_NODE_PATCHES, patched } = (await import(
  pathToFileURL(join(root, "scripts", "tfjs-node-patches.mjs")).href
)) as unknown as Patches;
const patchOf = (name: string) => TFJS_NODE_PATCHES.find((patch) => patch.name.startsWith(name))!;

describe("a patch of tfjs-node", () => {
  it("changes every place in its file", () => {
    const text = "if ((0, util_1.isNullOrUndefined)(a)) b = (0, util_1.isNullOrUndefined)(k) ? 1 : k;";
    expect(patched(text, patchOf("null-checks"))).toBe("if ((a == null)) b = (k == null) ? 1 : k;");
  });

  it("fails with its name where the file has no place for it", () => {
    expect(() => patched("another version", patchOf("array-checks"))).toThrow(
      'patch "array-checks" finds no place in dist/nodejs_kernel_backend.js',
    );
  });
});

describe("the backend that setup:tensorflow makes", () => {
  const program = `
    const util = process.getBuiltinModule("util");
    for (const gone of ["isArray", "isNullOrUndefined"]) util[gone] = undefined;
    const tensor = await import("@afterstate/learner/tensor");
    const { description } = await tensor.openBackend({ name: "tensorflow" });
    const config = { vocab_size: 5, hidden_size: 4, intermediate_size: 4, num_hidden_layers: 1, num_attention_heads: 1,
      num_key_value_heads: 1, max_position_embeddings: 8, rope_theta: 1e4, rms_norm_eps: 1e-5, tie_word_embeddings: true };
    const trainable = tensor.createTrainable(tensor.initialWeights(config, 1), { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0 });
    const loss = tensor.supervisedLoss(config, [{ ids: [1, 2, 3], mask: [1, 1, 1] }], 2);
    await trainable.accumulate(loss);
    const before = tensor.liveTensors();
    const losses = [];
    for (let i = 0; i < 3; i++) {
      losses.push(await trainable.accumulate(loss));
      await trainable.step(0.1, 1);
      await trainable.accumulate(loss);
    }
    console.log(JSON.stringify({ description, losses, grown: tensor.liveTensors() - before }));`;

  it("learns on a Node without the functions that Node 23 took away, keeps no tensors, says nothing, and lets the process end", ({
    skip,
  }) => {
    if (!existsSync(join(root, ".afterstate", "tensorflow", "tfjs-node"))) skip("npm run setup:tensorflow was not run");
    const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
      cwd: root,
      encoding: "utf8",
      timeout: 60_000,
    });
    expect([status, stderr]).toEqual([0, ""]);
    const { description, losses, grown } = JSON.parse(stdout.split("\n").findLast((line) => line.startsWith("{"))!);
    expect(description).toMatch(/^tensorflow \(TensorFlow 2\.\d+\.\d+, (CPU|GPU)\)$/);
    expect(losses[2]).toBeLessThan(losses[0]);
    expect(grown).toBe(0);
  }, 70_000);
});
