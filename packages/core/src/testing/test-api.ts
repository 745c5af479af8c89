/** What a contract needs of a test runner: vitest's `describe`, `it` and `expect`, handed in, so that no runner is imported here. */
export interface TestApi {
  describe(name: string, body: () => void): unknown;
  it(name: string, body: () => Promise<void> | void): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: matchers are the runner's own
  expect(actual: unknown): any;
}
