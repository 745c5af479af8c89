import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { initialWeights } from "../tensor/transformer.js";
import { TINY_CONFIG } from "../testing/tiny-config.js";
import { encodeSafetensors } from "./safetensors.js";
import { readFolderWeights } from "./sharded-weights.js";

const weights = initialWeights(TINY_CONFIG, 1);
const names = [...weights.keys()];
const halves = [names.slice(0, 10), names.slice(10)];
const FILES = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
const INDEX = "model.safetensors.index.json";

describe("weights in several files", () => {
  let folder = "";
  const write = (file: string, held: readonly string[]) =>
    writeFileSync(join(folder, file), encodeSafetensors(new Map(held.map((name) => [name, weights.get(name)!]))));
  const index = (map: object) => writeFileSync(join(folder, INDEX), JSON.stringify({ weight_map: map }));
  const map = () => Object.fromEntries(halves.flatMap((held, i) => held.map((name) => [name, FILES[i]!])));

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "afterstate-shards-"));
    halves.forEach((held, i) => write(FILES[i]!, held));
    index(map());
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("are read as from one, and progress is told of each file up to its end", () => {
    const ends: string[] = [];
    const read = readFolderWeights(folder, TINY_CONFIG, ({ file, done, total }) => {
      if (done === total) ends.push(file);
    });
    expect(read).toEqual(weights);
    expect(ends).toEqual(FILES.map((file) => join(folder, file)));
  });

  it.each<[string, () => void, RegExp]>([
    ["a missing file", () => rmSync(join(folder, FILES[1]!)), /00002-of-00002.safetensors": expected a readable file/],
    ["a weight that the index does not name", () => index({ ...map(), [names[0]!]: FILES[1] }), /embed_tokens.weight"/],
    ["a weight that is in no file", () => write(FILES[1]!, halves[1]!.slice(1)), /expected what .* says is in it/],
    ["a weight in two files", () => write(FILES[1]!, [...halves[1]!, names[0]!]), /tensor "model.embed_tokens.weight"/],
    ["a path that leads out of the folder", () => index({ ...map(), x: "../x.safetensors" }), /"\.\.\/x.safetensors"/],
    ["no weights", () => index({}), /at least one weight, found none/],
    ["neither file nor index", () => rmSync(join(folder, INDEX)), /model\.safetensors": expected it or/],
  ])("are refused with %s", (_, damage, message) => {
    damage();
    expect(() => readFolderWeights(folder, TINY_CONFIG)).toThrow(message);
  });
});

describe("a tied head", () => {
  const config = { ...TINY_CONFIG, tie_word_embeddings: true };
  const tied = initialWeights(config, 1);
  const read = (head: Float32Array) => {
    const folder = mkdtempSync(join(tmpdir(), "afterstate-tied-"));
    const all = new Map([...tied, ["lm_head.weight", { shape: [11, 8], data: head }]]);
    writeFileSync(join(folder, "model.safetensors"), encodeSafetensors(all));
    try {
      return readFolderWeights(folder, config);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };

  it("may be stored a second time, as long as it is the embedding table", () => {
    const embedding = tied.get("model.embed_tokens.weight")!.data;
    expect(read(embedding)).toEqual(tied);
    expect(() => read(embedding.map((value, i) => (i === 5 ? value + 1 : value)))).toThrow(
      /"lm_head.weight": expected the embedding table/,
    );
  });
});
