import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type RunningProgram, runProgram, startProgram } from "./run-program.js";

const DEMO = "apps/demo/dist/main.js";
const MODELS = "packages/learner/src/checkpoints/data/huggingface";
const MINUTES = 180_000;

describe("a chat with a model that is named", () => {
  let data = "";
  beforeEach(async () => {
    data = await mkdtemp(join(tmpdir(), "afterstate-model-"));
  });
  afterEach(() => rm(data, { recursive: true, force: true }));

  const start = (model: string, ...more: readonly string[]) =>
    startProgram(DEMO, ["--model", `${MODELS}/${model}`, "--json", "--data", data, ...more]);
  const ready = async (demo: RunningProgram) =>
    JSON.parse(await demo.line((line) => line.includes('"type":"ready"'))) as { page: string; policyVersion: string };
  const say = async (page: string, text: string) => {
    const reply = await fetch(`${page}/api/chat`, {
      method: "POST",
      headers: { "content-type": "application/json", connection: "close" },
      body: JSON.stringify({ sessionId: "s", text }),
    });
    return (await reply.json()) as { answer: string; policyVersion: string; error?: string };
  };
  const stop = async (demo: RunningProgram) => {
    demo.kill("SIGTERM");
    return (await demo.ended).code;
  };

  it("learns adapters over it, goes on with them, and keeps them from other models", { timeout: MINUTES }, async () => {
    const first = start("llama3", "--rank", "2");
    const { page, policyVersion } = await ready(first);
    expect(policyVersion).toBe("base");
    expect(await say(page, "How many eggs?")).toMatchObject({ policyVersion: "base" });
    for (let i = 0; i < 4; i++) {
      expect(await say(page, "No, that is wrong. Please be brief.")).not.toHaveProperty("error");
    }
    expect(await first.line((line) => line.includes('"type":"update"'))).toContain('"candidate":"v1"');
    expect(await stop(first)).toBe(130);

    const again = start("llama3", "--rank", "2");
    expect((await ready(again)).policyVersion).toMatch(/^v\d+$/);
    expect(await stop(again)).toBe(130);

    for (const other of [start("qwen3", "--rank", "2"), start("llama3", "--rank", "4")]) {
      const { code, stderr } = await other.ended;
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /^".*" holds what was learned over .*llama3 with adapters of rank 2 .*; name that one, or another folder\n$/,
      );
    }
  });

  it("ends in one sentence when there is no such model, or it is not for everyone", { timeout: MINUTES }, async () => {
    const { code, stderr } = await runProgram(DEMO, ["--json", "--model", "no such model"]);
    expect([code, stderr]).toEqual([
      1,
      '"no such model": expected a folder, a .gguf file or an id such as owner/name, found none of them; add it, or name another model\n',
    ]);
    const hub = createServer((_, response) => response.writeHead(403).end());
    await new Promise<void>((resolve) => hub.listen(0, "127.0.0.1", resolve));
    try {
      const HF_ENDPOINT = `http://127.0.0.1:${(hub.address() as AddressInfo).port}`;
      const refused = await runProgram(DEMO, ["--json", "--model", "owner/gated"], { HF_ENDPOINT, HOME: data });
      expect(refused.code).toBe(1);
      expect(refused.stderr).toMatch(/^"owner\/gated": expected it on the Hugging Face hub, found status 403: .*\n$/);
    } finally {
      hub.close();
    }
  });
});
