import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";

type Outcome = Readonly<Record<string, unknown>> & { readonly logProbs: readonly number[] };

const PROGRAM = fileURLToPath(new URL("./update-on-backend.mjs", import.meta.url));

function updateOn(environment: Readonly<Record<string, string>>): Outcome | undefined {
  const { stdout, status } = spawnSync(process.execPath, [PROGRAM], {
    encoding: "utf8",
    env: { ...process.env, ...environment },
  });
  const line = stdout.split("\n").findLast((text) => text.startsWith("{"));
  return status === 0 && line !== undefined ? (JSON.parse(line) as Outcome) : undefined;
}

describe("an update of the same samples", () => {
  let reference: Outcome;
  beforeAll(() => {
    reference = updateOn({ AFTERSTATE_BACKEND: "cpu" })!;
  });

  const backends: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ["wasm", { AFTERSTATE_BACKEND: "wasm" }],
    ["wasm without BLAS", { AFTERSTATE_BACKEND: "wasm", AFTERSTATE_BLAS: "off" }],
    ["wasm-tfjs", { AFTERSTATE_BACKEND: "wasm-tfjs" }],
    ["wasm-tfjs without BLAS", { AFTERSTATE_BACKEND: "wasm-tfjs", AFTERSTATE_BLAS: "off" }],
    ["webgpu", { AFTERSTATE_BACKEND: "webgpu" }],
    ["tensorflow", { AFTERSTATE_BACKEND: "tensorflow" }],
  ];
  it.for(backends)("comes out alike on cpu and on %s, to float32 tolerance", ([name, environment], { skip }) => {
    const outcome = updateOn(environment);
    if (outcome === undefined && !name.startsWith("wasm")) skip(`this machine has no ${name} backend`);
    for (const [key, value] of Object.entries(reference)) {
      if (typeof value === "number") expect(outcome![key], key).toBeCloseTo(value, 4);
    }
    outcome!.logProbs.forEach((logProb, i) => expect(logProb).toBeCloseTo(reference.logProbs[i]!, 4));
  });
});
