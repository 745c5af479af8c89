// Packs bench/gpu/run with all that it needs: Node, the built packages, the parts of node_modules that they load, libraries.
// node bench/gpu/pack.mjs [folder]: makes <folder>/afterstate-gpu and afterstate-gpu.tar.xz beside it (default: .afterstate/gpu).
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build, checkNode, install, root, say } from "../../scripts/prepare.mjs";
import { prepareWebGpu } from "../../scripts/webgpu.mjs";

const LIMIT_MIB = 64;
/** What the programs read that no import names. */
const FILES = [
  "bench/gpu/measure.mjs",
  "bench/drawn-models.mjs",
  "bench/gpu/cases.mjs",
  "bench/gpu/torch_gpu.py",
  "bench/speed/torch_step.py",
  "test/contract/compare-outcomes.mjs",
  "test/contract/outcome-on-backend.mjs",
  "packages/learner/policy/homework",
  "packages/learner/dist/kernels.wasm",
];
/** The Vulkan loader, what NVIDIA's driver wants on top of it, and what Node itself wants. Taken where this machine has them. */
const LIBRARIES = [
  "libvulkan.so.1",
  "libX11.so.6",
  "libXext.so.6",
  "libxcb.so.1",
  "libXau.so.6",
  "libXdmcp.so.6",
  "libbsd.so.0",
];
const NODE_LIBRARIES = ["libmd.so.0", "libstdc++.so.6", "libgcc_s.so.1"];
const LIBRARY_FOLDERS = [
  "/usr/lib/x86_64-linux-gnu",
  "/lib/x86_64-linux-gnu",
  "/usr/lib64",
  "/usr/lib",
  "/usr/lib/chromium",
];

const failure = checkNode() ?? (await install()) ?? (await build());
if (failure !== undefined) {
  say(failure);
  process.exit(1);
}
const warning = await prepareWebGpu();
if (warning !== undefined) say(warning);

const out = process.argv[2] ?? join(root, ".afterstate", "gpu");
const folder = join(out, "afterstate-gpu");
rmSync(folder, { recursive: true, force: true });
mkdirSync(join(folder, "lib"), { recursive: true });

/** Puts a file of the repository into the folder, at the same place. */
function take(path) {
  const target = join(folder, path);
  mkdirSync(dirname(target), { recursive: true });
  cpSync(join(root, path), target, { recursive: true });
}

const loaded = loadedFiles();
const packages = new Set();
for (const path of loaded) {
  take(path);
  for (let at = dirname(path); at !== "."; at = dirname(at)) {
    if (existsSync(join(root, at, "package.json"))) packages.add(at);
  }
}
for (const at of packages) take(join(at, "package.json"));
// The workspace's own packages are links in node_modules.
for (const at of [...packages].filter((path) => path.startsWith("packages/"))) {
  const { name } = JSON.parse(readFileSync(join(root, at, "package.json"), "utf8"));
  mkdirSync(join(folder, "node_modules", dirname(name)), { recursive: true });
  execFileSync("ln", ["-s", join("..", "..", at), join(folder, "node_modules", name)]);
}
for (const path of FILES) take(path);
cpSync(join(root, "bench/gpu/run"), join(folder, "run"));
cpSync(realpathSync(process.execPath), join(folder, "node"));
spawnSync("strip", [join(folder, "node")]);
for (const name of [...LIBRARIES, ...NODE_LIBRARIES]) {
  const found = LIBRARY_FOLDERS.map((place) => join(place, name)).find((path) => existsSync(path));
  if (found === undefined) say(`${name} is not on this machine; the other one must have it`);
  else cpSync(realpathSync(found), join(folder, "lib", name));
}
const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8" }).trim();
const changes =
  execFileSync("git", ["status", "--porcelain"], { cwd: root, encoding: "utf8" }) === "" ? "" : "+changes";
writeFileSync(join(folder, "commit.json"), `${JSON.stringify(commit + changes)}\n`);

const tarball = join(out, "afterstate-gpu.tar.xz");
execFileSync("tar", ["-cJf", tarball, "-C", out, basename(folder)], { env: { ...process.env, XZ_OPT: "-6 -T2" } });
const mebibytes = statSync(tarball).size / 2 ** 20;
say(`${relative(process.cwd(), tarball)}: ${mebibytes.toFixed(1)} MiB, ${loaded.length} files of packages`);
if (mebibytes > LIMIT_MIB) {
  say(`that is more than ${LIMIT_MIB} MiB`);
  process.exitCode = 1;
}

/** Every file that the programs load, by a run that loads them all and asks both of Node's loaders what they loaded. */
function loadedFiles() {
  const hooks = `
    import { appendFileSync } from "node:fs";
    export async function load(url, context, next) {
      if (url.startsWith("file:")) appendFileSync(process.env.LOADED, url + "\\n");
      return next(url, context);
    }`;
  const program = `
    import { register, createRequire } from "node:module";
    import { appendFileSync } from "node:fs";
    import { pathToFileURL } from "node:url";
    register("data:text/javascript," + encodeURIComponent(${JSON.stringify(hooks)}));
    await import("@afterstate/learner");
    await import("@afterstate/learner/tensor");
    await import("@afterstate/learner/engine");
    await import("webgpu");
    const require = createRequire(${JSON.stringify(join(root, "packages/learner/dist/index.js"))});
    require("@tensorflow/tfjs-backend-webgpu");
    for (const path of Object.keys(require.cache)) appendFileSync(process.env.LOADED, pathToFileURL(path) + "\\n");`;
  const list = join(out, "loaded.txt");
  rmSync(list, { force: true });
  execFileSync(process.execPath, ["--input-type=module", "--eval", program], {
    cwd: root,
    env: { ...process.env, LOADED: list },
  });
  const urls = new Set(readFileSync(list, "utf8").trim().split("\n"));
  rmSync(list);
  return [...urls]
    .map((url) => relative(root, realpathSync(fileURLToPath(url))))
    .filter((path) => !path.startsWith(".."));
}
