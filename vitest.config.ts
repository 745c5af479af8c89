import { defineConfig } from "vitest/config";

// The programs that the tests start, and the tests themselves, find a Vulkan driver by these.
const { vulkanEnvironment } = (await import(new URL("scripts/webgpu.mjs", import.meta.url).href)) as {
  vulkanEnvironment(): Record<string, string> | undefined;
};
Object.assign(process.env, vulkanEnvironment());

const project = (name: string, include: string[]) => ({
  test: { name, include, testTimeout: 30_000, hookTimeout: 60_000 },
});

export default defineConfig({
  test: {
    projects: [
      project("core", ["packages/core/src/**/*.test.ts"]),
      project("plugins", ["packages/plugins-*/src/**/*.test.ts"]),
      project("learner", ["packages/learner/src/**/*.test.ts"]),
      project("apps", ["apps/*/src/**/*.test.ts"]),
      project("across", ["test/**/*.test.ts"]),
    ],
  },
});
