import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { writePolicyFolder } from "./policy-folder.js";
import type { ModelProgress } from "./progress.js";
import { readGguf } from "./read-gguf.js";
import { readPolicy } from "./read-policy.js";

const GGUF = fileURLToPath(new URL("data/tiny-qwen3.gguf", import.meta.url));
const ID = "some-owner/Tiny-1.0";
const files = readGguf(GGUF);

/** A hub on loopback that holds one model. */
interface FakeHub {
  readonly url: string;
  readonly requests: string[];
  /** Bytes of model.safetensors after which the connection breaks. */
  breakAfter: number | undefined;
  /** Changes what is sent of model.safetensors. */
  damaged: boolean;
  token: string | undefined;
  /** What is answered for model.safetensors instead of it. */
  modelStatus: number | undefined;
}

describe("readPolicy", () => {
  let [origin, cacheFolder] = ["", ""];
  let server: Server;
  let hub: FakeHub;

  beforeEach(async () => {
    origin = mkdtempSync(join(tmpdir(), "afterstate-origin-"));
    cacheFolder = mkdtempSync(join(tmpdir(), "afterstate-cache-"));
    writePolicyFolder(origin, files);
    writeFileSync(join(origin, "README.md"), "not wanted");
    [server, hub] = await openFakeHub(origin);
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    for (const folder of [origin, cacheFolder]) rmSync(folder, { recursive: true, force: true });
  });

  const read = (progress: ModelProgress[] = [], accessToken?: string) =>
    readPolicy(ID, {
      cacheFolder,
      hubUrl: hub.url,
      onProgress: (told) => progress.push(told),
      ...(accessToken === undefined ? {} : { accessToken }),
    });
  const model = () => join(cacheFolder, "some-owner--Tiny-1.0", "model.safetensors");

  it("reads a folder and a GGUF file by their paths", async () => {
    expect((await readPolicy(origin)).config).toEqual(files.config);
    expect((await readPolicy(GGUF)).config).toEqual(files.config);
  });

  it("downloads a model of the hub once, shows how far it is, and needs no network from then on", async () => {
    const progress: ModelProgress[] = [];
    const { weights, config } = await read(progress);
    expect(config).toEqual(files.config);
    expect(weights.get("model.norm.weight")).toEqual(files.weights.get("model.norm.weight"));
    const { size } = statSync(join(origin, "model.safetensors"));
    const told = progress.filter(({ stage, file }) => stage === "download" && file === `${ID}/model.safetensors`);
    expect([told[0]!.done, told.at(-1)!.done, told.at(-1)!.total]).toEqual([0, size, size]);
    expect(readdirSync(join(model(), "..")).sort()).toEqual([
      "complete.json",
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    const asked = hub.requests.length;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect((await read()).config).toEqual(files.config);
    expect(hub.requests.length).toBe(asked);
  });

  it("goes on where an interrupted download stopped", async () => {
    hub.breakAfter = 60_000;
    await expect(read()).rejects.toMatchObject({ code: "checkpoint/download", retryable: true });
    const kept = statSync(`${model()}.part`).size;
    expect(kept).toBeGreaterThan(0);
    expect(existsSync(model())).toBe(false);
    hub.breakAfter = undefined;
    hub.requests.length = 0;
    await read();
    expect(hub.requests).toContain(`/${ID}/resolve/main/model.safetensors bytes=${kept}-${statSync(model()).size - 1}`);
    expect(readFileSync(model())).toEqual(readFileSync(join(origin, "model.safetensors")));
  });

  it("throws away what is not what the hub lists, and starts over", async () => {
    hub.damaged = true;
    await expect(read()).rejects.toThrow(/Tiny-1.0\/model.safetensors": expected the content whose hash/);
    expect(existsSync(`${model()}.part`)).toBe(false);
    hub.damaged = false;
    expect((await read()).config).toEqual(files.config);
  });

  it("downloads again what was lost from the cache", async () => {
    await read();
    rmSync(model());
    expect((await read()).weights.size).toBe(files.weights.size);
  });

  it("says which model is not there, needs a token, or has no safetensors", async () => {
    await expect(readPolicy("some-owner/none", { cacheFolder, hubUrl: hub.url })).rejects.toMatchObject({
      code: "checkpoint/missing",
      file: "some-owner/none",
    });
    hub.token = "secret";
    await expect(read()).rejects.toMatchObject({
      code: "checkpoint/missing",
      message: expect.stringMatching(/status 401.*; name another model, or give the accessToken of an account/),
    });
    expect((await read([], "hf_secret")).config).toEqual(files.config);
    rmSync(cacheFolder, { recursive: true });
    hub.token = undefined;
    rmSync(join(origin, "model.safetensors"));
    await expect(read()).rejects.toThrow(/expected model.safetensors or its shards, found .*README.md/);
    await expect(readPolicy("no such/thing.gguf")).rejects.toThrow(/expected a folder, a .gguf file or an id/);
  });

  it.each([401, 403])(
    "says that a model is not given to everyone when its weights are refused with %i",
    async (status) => {
      hub.modelStatus = status;
      await expect(read()).rejects.toMatchObject({
        code: "checkpoint/missing",
        retryable: false,
        file: `${ID}/model.safetensors`,
        message: expect.stringMatching(new RegExp(`status ${status}: .*accessToken`)),
      });
      hub.modelStatus = undefined;
      expect((await read()).config).toEqual(files.config);
    },
  );

  it("says that weights do not come when the hub fails, and goes on later", async () => {
    hub.modelStatus = 500;
    await expect(read()).rejects.toMatchObject({
      code: "checkpoint/download",
      retryable: true,
      message: expect.stringMatching(/expected \d+ bytes, found 0 and then: /),
    });
    expect(existsSync(join(model(), "..", "config.json"))).toBe(true);
    hub.modelStatus = undefined;
    expect((await read()).config).toEqual(files.config);
  });

  it("goes on offline with a model that came whole, and not with one that came in part", async () => {
    hub.breakAfter = 60_000;
    await expect(read()).rejects.toMatchObject({ code: "checkpoint/download" });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await expect(read()).rejects.toMatchObject({ code: "checkpoint/download", file: ID });
  });

  it("says that the hub cannot be reached", async () => {
    await new Promise((resolve) => server.close(resolve));
    await expect(read()).rejects.toMatchObject({ code: "checkpoint/download", file: ID });
  });
});

/** Serves the listing and the files of a folder as the hub does, ranges included. */
async function openFakeHub(folder: string): Promise<[Server, FakeHub]> {
  const hub = {
    url: "",
    requests: [] as string[],
    breakAfter: undefined,
    damaged: false,
    token: undefined,
    modelStatus: undefined,
  } as FakeHub & {
    url: string;
  };
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url!, "http://hub").pathname);
    hub.requests.push(`${path} ${request.headers.range ?? "whole"}`);
    if (hub.token !== undefined && request.headers.authorization !== `Bearer hf_${hub.token}`) {
      response.writeHead(401).end();
      return;
    }
    if (path === `/api/models/${ID}/tree/main`) {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(readdirSync(folder).map((name) => listed(folder, name))));
      return;
    }
    const file = join(folder, path.slice(`/${ID}/resolve/main/`.length));
    if (!path.startsWith(`/${ID}/resolve/main/`) || !existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    if (hub.modelStatus !== undefined && path.endsWith("model.safetensors")) {
      response.writeHead(hub.modelStatus).end();
      return;
    }
    const bytes = readFileSync(file);
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    const [start, end] = [Number(from ?? 0), Math.min(Number(to ?? bytes.length - 1), bytes.length - 1)];
    response.writeHead(from === undefined ? 200 : 206, {
      etag: '"1"',
      "content-length": end - start + 1,
      "content-range": `bytes ${start}-${end}/${bytes.length}`,
    });
    const isModel = path.endsWith("model.safetensors") && end > start;
    if (isModel && hub.damaged) bytes[bytes.length - 1] = 1 + bytes[bytes.length - 1]!;
    const body = bytes.subarray(start, end + 1);
    if (!isModel || hub.breakAfter === undefined) response.end(body);
    else response.write(body.subarray(0, hub.breakAfter), () => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  hub.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return [server, hub];
}

function listed(folder: string, path: string): object {
  const bytes = readFileSync(join(folder, path));
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const oid = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
  const lfs = path.endsWith(".safetensors") ? { lfs: { oid: sha256, size: bytes.length, pointerSize: 134 } } : {};
  return { type: "file", path, size: bytes.length, oid, ...lfs };
}
