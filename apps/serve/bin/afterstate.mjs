#!/usr/bin/env node
// `npx afterstate …`: the program is what the build made of ../src.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

if (!existsSync(fileURLToPath(new URL("../dist/main.js", import.meta.url)))) {
  process.stderr.write("Afterstate is not built yet; run npm run build first.\n");
  process.exit(1);
}
await import("../dist/main.js");
