// llama.cpp from its source with OpenBLAS: products of 32 and more rows in float32 with dequantised weights.
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** Builds the program that scores, where it is not there yet. @returns its path, or why there is none. */
export function buildFloat32Peer(models) {
  const build = join(models, "llama-float32");
  const program = join(build, "scores");
  if (existsSync(program)) return { program };
  const source = join(models, "llama.cpp");
  if (!existsSync(source)) return { absent: "the source of llama.cpp is absent; npm run models:test fetches it" };
  const run = (...args) => spawnSync("cmake", args, { stdio: ["ignore", "ignore", "inherit"] }).status === 0;
  console.error("building llama.cpp with OpenBLAS, which takes some minutes the first time …");
  const compile = ["--build", build, "--target", "scores", "-j", `${availableParallelism()}`];
  if (!run("-S", HERE, "-B", build, `-DLLAMA_CPP=${source}`) || !run(...compile)) {
    return { absent: "it needs cmake, a C++ compiler and OpenBLAS with its headers (Debian: libopenblas-dev)" };
  }
  return { program };
}

/** Opens the peer on a GGUF file. `score` takes texts as token ids and gives a score for each token but the first. */
export function openFloat32Peer(program, path) {
  return {
    async score(texts) {
      const child = spawn(program, [path], { stdio: ["pipe", "pipe", "inherit"] });
      const written = [];
      child.stdout.on("data", (chunk) => written.push(chunk));
      child.stdin.end(texts.map((ids) => `${ids.join(" ")}\n`).join(""));
      const code = await new Promise((resolve) => child.on("close", resolve));
      if (code !== 0) throw new Error(`scores ended with ${code}`);
      const lines = Buffer.concat(written).toString().trim().split("\n");
      return lines.map((line) => {
        const numbers = line.trim().split(" ").map(Number);
        return Array.from({ length: numbers.length / 3 }, (_, t) => {
          const [top, topLogProb, logProb] = numbers.slice(3 * t, 3 * t + 3);
          return { top, topLogProb, logProb };
        });
      });
    },
    close() {},
  };
}
