import { beforeAll, describe, expect, it } from "vitest";

interface Outcome {
  readonly backend?: string;
  readonly failure?: string;
}
interface Comparison {
  readonly name: string;
  readonly difference: number;
  readonly alike: boolean;
}
const { compareOutcomes, outcomeOn } = (await import(
  new URL("./compare-outcomes.mjs", import.meta.url).href
)) as unknown as {
  outcomeOn(environment: Readonly<Record<string, string>>): Outcome;
  compareOutcomes(reference: Outcome, outcome: Outcome): readonly Comparison[];
};

const BACKENDS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  wasm: { AFTERSTATE_BACKEND: "wasm" },
  "wasm without BLAS": { AFTERSTATE_BACKEND: "wasm", AFTERSTATE_BLAS: "off" },
  "wasm-tfjs": { AFTERSTATE_BACKEND: "wasm-tfjs" },
  "wasm-tfjs without BLAS": { AFTERSTATE_BACKEND: "wasm-tfjs", AFTERSTATE_BLAS: "off" },
  webgpu: { AFTERSTATE_BACKEND: "webgpu" },
  tensorflow: { AFTERSTATE_BACKEND: "tensorflow" },
};
/** What a machine without a backend says. Any other failure is one of the test. */
const UNAVAILABLE = /tensor backend could be opened/;
const TIMEOUT_MS = 300_000;

describe("losses, gradients, updates and sampled log-probabilities of the same cases", () => {
  let reference: Outcome;
  beforeAll(() => {
    reference = outcomeOn({ AFTERSTATE_BACKEND: "cpu" });
    expect(reference.failure).toBeUndefined();
  }, TIMEOUT_MS);

  it.for(Object.entries(BACKENDS))(
    "come out alike on cpu and on %s, to float32 tolerance",
    { timeout: TIMEOUT_MS },
    ([name, environment], { skip }) => {
      const outcome = outcomeOn(environment);
      if (!name.startsWith("wasm") && UNAVAILABLE.test(outcome.failure ?? "")) skip(outcome.failure);
      expect(outcome.failure).toBeUndefined();
      const compared = compareOutcomes(reference, outcome);
      expect(compared.length).toBeGreaterThan(200);
      expect(compared.filter(({ alike }) => !alike)).toEqual([]);
    },
  );

  it("are told apart when one number of one of them is off", () => {
    const { outcome } = reference as { outcome: Readonly<Record<string, readonly number[]>> };
    const [name, numbers] = Object.entries(outcome).find(([key]) => key.includes("gradient: model.norm"))!;
    const off = { outcome: { ...outcome, [name]: numbers.map((x, i) => (i === 3 ? x * 1.01 + 1e-3 : x)) } } as Outcome;
    expect(compareOutcomes(reference, off).filter(({ alike }) => !alike)).toMatchObject([{ name }]);
    expect(compareOutcomes(reference, { outcome: {} } as Outcome).some(({ alike }) => alike)).toBe(false);
  });
});
