import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { buildTokenizer } from "../pretrain/build-tokenizer.js";
import { EMBEDDED_POLICY } from "./policy-folder.js";

it("the embedded policy has the tokenizer that its recipe builds", () => {
  const shipped: unknown = JSON.parse(readFileSync(join(EMBEDDED_POLICY, "tokenizer.json"), "utf8"));
  expect(shipped).toEqual(buildTokenizer());
});
