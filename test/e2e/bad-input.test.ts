import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runProgram } from "./run-program.js";

const DEMO = "apps/demo/dist/main.js";

describe("the demo refuses in one sentence", () => {
  it.each([
    [["--nonsense"], "there is no option --nonsense; see npm start -- --help\n"],
    [["--seed", "x"], '--seed takes a whole number from 0 to 4294967295, not "x"; see npm start -- --help\n'],
    [["--learner"], "--learner needs a value; see npm start -- --help\n"],
    [["--json", "learn"], '"learn" is not an option; see npm start -- --help\n'],
  ])("the options %j", async (args, sentence) => {
    expect(await runProgram(DEMO, args)).toMatchObject({ code: 2, stdout: "", stderr: sentence });
  });

  it("a port that is taken", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    try {
      expect(await runProgram(DEMO, ["--exit", "--json", "--port", String(port)])).toMatchObject({
        code: 1,
        stdout: "",
        stderr: `port ${port} is in use by another program; choose another one with --port\n`,
      });
    } finally {
      server.close();
    }
  });

  it("a data folder that is a file", async () => {
    const folder = await mkdtemp(join(tmpdir(), "afterstate-test-"));
    const file = join(folder, "file");
    await writeFile(file, "");
    try {
      const { code, stderr } = await runProgram(DEMO, ["--exit", "--json", "--data", file]);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^the data folder ".*file" cannot be used: .*; choose one that this process may write\n$/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("a backend that does not exist", async () => {
    const { code, stderr } = await runProgram(DEMO, ["--exit", "--json"], { AFTERSTATE_BACKEND: "abacus" });
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /AFTERSTATE_BACKEND is "abacus"; it must be one of tensorflow, webgpu, wasm, wasm-tfjs, cpu/,
    );
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });
});

it("prints help on standard output", async () => {
  const { code, stdout, stderr } = await runProgram(DEMO, ["--help"]);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^npm start -- \[options\]/);
});
