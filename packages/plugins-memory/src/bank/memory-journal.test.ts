import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRandom } from "@afterstate/core";
import { afterAll, describe, expect, it } from "vitest";
import { type MemoryBank, openMemoryBank } from "./memory-bank.js";

const folder = await mkdtemp(join(tmpdir(), "memory-journal-"));
afterAll(() => rm(folder, { recursive: true }));
let files = 0;
const newPath = () => join(folder, `${files++}.jsonl`);

const tell = (bank: MemoryBank, text: string) =>
  bank.remember({
    scope: { userId: "ann" },
    messages: [],
    nextState: { kind: "user", text },
    writtenBy: { episodeId: "e", stepIndex: 0 },
    signal: new AbortController().signal,
  });
const filled = async () => {
  const path = newPath();
  const bank = await openMemoryBank({ path });
  await tell(bank, "My name is Ann.");
  await tell(bank, "My name is Anna. My dog is called Rex.");
  await tell(bank, "Forget my dog.");
  const history = bank.history("ann");
  await bank.close();
  return { path, history };
};

describe("a memory bank in a file", () => {
  it("knows after opening what it knew before closing, and goes on with new ids", async () => {
    const { path, history } = await filled();
    const bank = await openMemoryBank({ path });
    expect(bank.history("ann")).toEqual(history);
    expect(bank.cutBytes).toBe(0);
    const [operation] = await tell(bank, "My cat is called Tom.");
    expect(operation).toMatchObject({ kind: "add", record: { id: "memory-2" } });
    await bank.close();
  });

  it("cuts a tail torn at any byte, back to the last write that was whole", async () => {
    const { path } = await filled();
    const bytes = await readFile(path);
    const lastLine = bytes.lastIndexOf("\n", bytes.length - 2) + 1;
    for (let length = 0; length < bytes.length; length += length < lastLine ? 37 : 5) {
      const torn = newPath();
      await writeFile(torn, bytes.subarray(0, length));
      const whole = bytes.subarray(0, length).lastIndexOf("\n") + 1;
      const bank = await openMemoryBank({ path: torn });
      expect(bank.cutBytes).toBe(length - whole);
      await tell(bank, "My city is Rome.");
      await bank.close();
      const again = await openMemoryBank({ path: torn });
      expect(again.history("ann").at(-1)?.text).toBe("The user's city is Rome.");
      await again.close();
    }
  });

  it("refuses a file with a damaged line, says which, and leaves the file alone", async () => {
    const { path } = await filled();
    const bytes = await readFile(path);
    const secondLine = bytes.indexOf("\n") + 1;
    bytes[secondLine + 40]! ^= 1;
    await writeFile(path, bytes);
    await expect(openMemoryBank({ path })).rejects.toMatchObject({
      code: "memory/corrupt",
      message: expect.stringContaining("line 2 of the memory file"),
    });
    expect(await readFile(path)).toEqual(bytes);
  });

  it("refuses a file that is not its own, also one without a line break", async () => {
    for (const content of ["precious", "precious\n"]) {
      const path = newPath();
      await writeFile(path, content);
      await expect(openMemoryBank({ path })).rejects.toMatchObject({ code: "memory/corrupt" });
      expect(await readFile(path, "utf8")).toBe(content);
    }
  });

  it("has one writer at a time", async () => {
    const { path } = await filled();
    const bank = await openMemoryBank({ path });
    await expect(openMemoryBank({ path })).rejects.toMatchObject({ code: "memory/locked" });
    await bank.close();
    await (await openMemoryBank({ path })).close();
    expect((await readdir(folder)).filter((name) => name.includes(".lock"))).toEqual([]);
  });

  it("takes over the lock of a process that died, also one that had this process's number", async () => {
    const { path } = await filled();
    for (const holder of [`{"pid":${process.pid},"startedAt":1}`, '{"pid":4194303,"startedAt":1}', "torn {"]) {
      await writeFile(`${path}.lock`, holder);
      const bank = await openMemoryBank({ path });
      await bank.close();
    }
  });

  it("keeps every write that was acknowledged before the process was killed", async () => {
    const random = createRandom(11);
    for (let round = 0; round < 4; round++) {
      const path = newPath();
      const writer = spawnWriter(path);
      const acknowledged = await killAfter(writer, 3 + random.integer(40));
      await appendFile(path, round % 2 === 0 ? "" : "0badf00d [{");
      const bank = await openMemoryBank({ path });
      const kept = bank.history("ann").length;
      expect(kept).toBeGreaterThanOrEqual(acknowledged);
      expect(bank.history("ann").map(({ text }) => text)).toEqual(
        Array.from({ length: kept }, (_, index) => `The user's slot${index} is value${index}.`),
      );
      await bank.close();
    }
  });
});

/** A process over the built package that writes fact after fact and says the number of each once it is kept. */
function spawnWriter(path: string): ChildProcess {
  const entry = new URL("../../dist/index.js", import.meta.url);
  const source = `
    import { openMemoryBank } from ${JSON.stringify(entry.href)};
    const bank = await openMemoryBank({ path: ${JSON.stringify(path)} });
    for (let index = 0; ; index++) {
      await bank.remember({ scope: { userId: "ann" }, messages: [], writtenBy: { episodeId: "e", stepIndex: 0 },
        nextState: { kind: "user", text: "my slot" + index + " is value" + index }, signal: new AbortController().signal });
      process.stdout.write(index + 1 + "\\n");
    }`;
  return spawn(process.execPath, ["--input-type=module", "--eval", source], { stdio: ["ignore", "pipe", "inherit"] });
}

/** Kills the writer once it has acknowledged so many writes. @returns how many it had acknowledged in the end. */
async function killAfter(writer: ChildProcess, writes: number): Promise<number> {
  let said = "";
  const exit = once(writer, "exit");
  for await (const chunk of writer.stdout!) {
    said += chunk;
    if (Number(said.split("\n").at(-2) ?? 0) >= writes) writer.kill("SIGKILL");
  }
  await exit;
  return Number(said.split("\n").at(-2));
}
