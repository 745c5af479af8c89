// What the tests of the webgpu backend need: two npm packages that are nobody's dependency, and a Vulkan driver.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { npmCommand, root, runProgram, say } from "./prepare.mjs";

const PACKAGES = ["webgpu@0.6.2", "@tensorflow/tfjs-backend-webgpu@4.22.0"];
/** Where browsers keep SwiftShader, a Vulkan driver that needs no GPU, and the loader of drivers beside it. */
const DRIVERS = ["/usr/lib/chromium/vk_swiftshader_icd.json", "/opt/google/chrome/vk_swiftshader_icd.json"];

/** Environment variables that lead to a Vulkan driver, as far as they are not set; undefined when none is known. */
export function vulkanEnvironment() {
  if (process.env.VK_ICD_FILENAMES !== undefined || process.env.VK_DRIVER_FILES !== undefined) return {};
  const driver = DRIVERS.find((path) => existsSync(path));
  if (driver === undefined) return undefined;
  const paths = [process.env.LD_LIBRARY_PATH, dirname(driver)].filter(Boolean);
  return { VK_ICD_FILENAMES: driver, LD_LIBRARY_PATH: paths.join(":") };
}

/** Installs the packages, where there is a driver for them. @returns a sentence when the tests will be skipped. */
export async function prepareWebGpu() {
  if (vulkanEnvironment() === undefined) {
    return "no Vulkan driver is known here (Debian: chromium-common has one; VK_ICD_FILENAMES names another): tests on webgpu are skipped";
  }
  const installed = PACKAGES.every((name) => existsSync(join(root, "node_modules", name.replace(/@[^@]*$/, ""))));
  if (installed) return undefined;
  say(`installing ${PACKAGES.join(" and ")}, for the tests on webgpu …`);
  const [command, ...first] = npmCommand();
  const quiet = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
  const code = await runProgram(command, [...first, "install", ...quiet, ...PACKAGES]).catch(() => 1);
  return code === 0 ? undefined : "the packages could not be installed: tests on webgpu are skipped";
}
