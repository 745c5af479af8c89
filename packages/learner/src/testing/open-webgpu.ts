import { messageOf } from "@afterstate/core";
import { openBackend } from "../tensor/backend.js";

/** Opens the webgpu backend on this thread. @returns why not, where a package or a driver is missing: then tests are skipped. */
export async function openWebGpuForTests(): Promise<string | undefined> {
  try {
    await openBackend({ name: "webgpu" });
    return undefined;
  } catch (cause) {
    return `${messageOf(cause)}; "npm run webgpu:test" installs what it needs`;
  }
}
