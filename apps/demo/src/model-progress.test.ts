import { expect, it } from "vitest";
import { tellModelProgress } from "./model-progress.js";
import type { Progress } from "./progress.js";

it("tells of a large file at its beginning and at each tenth, and of a small one not at all", () => {
  const told: Progress[] = [];
  const tell = tellModelProgress((progress) => told.push(progress));
  const total = 40_000_000;
  for (let done = 0; done <= total; done += 1_000_000) {
    tell({ stage: "download", file: "owner/name/model.safetensors", done, total });
  }
  tell({ stage: "download", file: "owner/name/config.json", done: 0, total: 900 });
  tell({ stage: "read", file: "/cache/owner--name/model.safetensors", done: 30_000_000, total });
  expect(told).toEqual([
    ...[0, 10, 20, 30, 40, 50, 60, 70, 80, 90].map((percent) => ({
      type: "loading",
      text: `downloading owner/name/model.safetensors: ${percent} % of 40 MB`,
    })),
    { type: "loading", text: "reading model.safetensors: 70 % of 40 MB" },
  ]);
});
