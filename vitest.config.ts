import { defineConfig } from "vitest/config";

const project = (name: string, include: string[]) => ({
  test: { name, include, testTimeout: 30_000, hookTimeout: 60_000 },
});

export default defineConfig({
  test: {
    projects: [
      project("core", ["packages/core/src/**/*.test.ts"]),
      project("plugins", ["packages/plugins-*/src/**/*.test.ts"]),
      project("learner", ["packages/learner/src/**/*.test.ts"]),
      project("demo", ["apps/demo/src/**/*.test.ts"]),
      project("across", ["test/**/*.test.ts"]),
    ],
  },
});
