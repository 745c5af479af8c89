// `npm run webgpu:test`: installs what the webgpu backend needs, and runs its tests on the Vulkan driver that there is.
import { join } from "node:path";
import { build, checkNode, install, root, runProgram, say } from "./prepare.mjs";
import { prepareWebGpu } from "./webgpu.mjs";

const failure = checkNode() ?? (await install()) ?? (await build()) ?? (await prepareWebGpu());
if (failure !== undefined) {
  say(failure);
  process.exit(1);
}
const tests = ["packages/learner/src/tensor/webgpu", "test/contract"];
const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
process.exitCode = await runProgram(process.execPath, [vitest, "run", "--reporter=verbose", ...tests], { stdout: 1 });
