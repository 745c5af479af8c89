// `npm run setup:tensorflow`: the backend `tensorflow`. Compiles the binding of @tensorflow/tfjs-node against a TensorFlow of today.
//   npm run setup:tensorflow                               TensorFlow for the CPU, installed by pip
//   npm run setup:tensorflow -- --cuda                     with CUDA 12, for NVIDIA GPUs
//   npm run setup:tensorflow -- --tensorflow <folder>      the Python package "tensorflow" in this folder
// Everything goes into .afterstate/tensorflow, which git ignores; to take it back, delete that folder.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { build, checkNode, install, root, runProgram, say } from "./prepare.mjs";
import { patched, TFJS_NODE_PATCHES } from "./tfjs-node-patches.mjs";

const HOME = join(root, ".afterstate", "tensorflow");
const TENSORFLOW = "2.21.0";
const TFJS_NODE = "@tensorflow/tfjs-node@4.22.0";
const NODE_HEADERS = "node-api-headers@1.9.0";
const LIBRARIES = ["libtensorflow_framework.so.2", "libtensorflow_cc.so.2"];
const AGAIN = "and run the same command again";

/** Runs a program; its messages go to standard error. @returns whether it ended well. */
async function run(command, ...args) {
  try {
    return (await runProgram(command, args, { cwd: HOME })) === 0;
  } catch {
    return false;
  }
}

const answers = (command, ...args) => spawnSync(command, args, { stdio: "ignore" }).status === 0;

/** A step that cannot be done; its message says what to do. */
class Unfinished extends Error {}

function need(fact, sentence) {
  if (!fact) throw new Unfinished(sentence);
}

/** Installs TensorFlow into a Python environment of its own. @returns the folder of the package. */
async function installTensorflow(cuda) {
  const environment = join(HOME, "python");
  if (!existsSync(join(environment, "bin", "pip"))) {
    need(
      answers("python3", "-c", "import venv, ensurepip"),
      `Python 3.10 to 3.13 with venv is needed: install it (Debian: apt-get install python3-venv) ${AGAIN}.`,
    );
    need(
      await run("python3", "-m", "venv", environment),
      `python3 could make no virtual environment in ${environment}: see its messages above.`,
    );
  }
  // The library alone is needed, and with CUDA NVIDIA's packages; TensorFlow's Python dependencies are not.
  const wheel = cuda ? [`tensorflow[and-cuda]==${TENSORFLOW}`] : ["--no-deps", `tensorflow-cpu==${TENSORFLOW}`];
  say(`${wheel.at(-1)}: pip downloads ${cuda ? "about 4 GB" : "270 MB"} once …`);
  need(
    await run(join(environment, "bin", "python"), "-m", "pip", "install", "--disable-pip-version-check", ...wheel),
    `pip could not install ${wheel.at(-1)}: it needs the network, ${cuda ? "9" : "1.5"} GB of disk and Python 3.10 to 3.13; ` +
      "a TensorFlow that is there already is taken with --tensorflow <folder>.",
  );
  const lib = join(environment, "lib");
  return join(lib, readdirSync(lib).find((name) => name.startsWith("python3")) ?? "", "site-packages", "tensorflow");
}

/** Fetches a package of npm without its install scripts and unpacks it. @returns its folder. */
async function unpack(specifier) {
  const folder = join(HOME, specifier.split("/").at(-1).split("@")[0]);
  rmSync(folder, { recursive: true, force: true });
  rmSync(join(HOME, "package"), { recursive: true, force: true });
  say(`${specifier} …`);
  const packed = spawnSync("npm", ["pack", "--json", "--ignore-scripts", "--loglevel=error", specifier], {
    cwd: HOME,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  need(packed.status === 0, `npm could not fetch ${specifier}: check the network ${AGAIN}.`);
  const [{ filename }] = JSON.parse(packed.stdout);
  need(await run("tar", "xf", filename), `tar could not unpack ${filename}: install tar ${AGAIN}.`);
  rmSync(join(HOME, filename));
  renameSync(join(HOME, "package"), folder);
  return folder;
}

/** Compiles an addon of Node; it finds TensorFlow's libraries where they are now. */
async function compile(addon, sources, flags, { headers, tensorflow }) {
  const compiled = await run(
    process.env.CXX ?? "g++",
    ...["-std=c++17", "-O2", "-fPIC", "-shared", "-w", "-DNAPI_VERSION=8"],
    ...[join(headers, "include"), join(tensorflow, "include")].flatMap((folder) => ["-I", folder]),
    ...[...sources, "-o", addon, `-L${tensorflow}`, `-Wl,-rpath,${tensorflow}`, ...flags],
  );
  need(
    compiled,
    `${addon} could not be compiled: the compiler's messages are above; it is made for TensorFlow ${TENSORFLOW}.`,
  );
}

async function setUp() {
  const { values } = parseArgs({ options: { cuda: { type: "boolean" }, tensorflow: { type: "string" } } });
  need(
    process.platform === "linux",
    "setup:tensorflow builds on Linux; on other systems install @tensorflow/tfjs-node itself, or use another backend.",
  );
  need(
    answers(process.env.CXX ?? "g++", "--version"),
    `A C++ compiler is needed: install g++ (Debian: apt-get install g++) ${AGAIN}.`,
  );
  mkdirSync(HOME, { recursive: true });
  const tensorflow =
    values.tensorflow === undefined ? await installTensorflow(values.cuda === true) : resolve(values.tensorflow);
  for (const file of [...LIBRARIES, join("include", "tensorflow", "c", "eager", "c_api.h")]) {
    need(
      existsSync(join(tensorflow, file)),
      `${tensorflow} has no ${file}; the folder wanted is what python3 -c "import tensorflow; print(tensorflow.__path__[0])" prints.`,
    );
  }
  const tfjsNode = await unpack(TFJS_NODE);
  const headers = await unpack(NODE_HEADERS);
  for (const patch of TFJS_NODE_PATCHES) {
    const file = join(tfjsNode, patch.file);
    writeFileSync(file, patched(readFileSync(file, "utf8"), patch));
    say(`patch "${patch.name}": ${patch.why}`);
  }
  say("compiling the binding, some seconds …");
  const addons = join(tfjsNode, "lib", "napi-v8");
  mkdirSync(addons, { recursive: true });
  const places = { headers, tensorflow };
  const loaded = `-DTENSORFLOW_LIBRARY=${JSON.stringify(join(tensorflow, LIBRARIES[0]))}`;
  const settings = join(root, "scripts", "tensorflow-settings.cc");
  await compile(join(addons, "tensorflow_settings.node"), [settings], [loaded], places);
  const binding = ["tfjs_backend.cc", "tfjs_binding.cc"].map((file) => join(tfjsNode, "binding", file));
  const linked = LIBRARIES.map((library) => `-l:${library}`);
  await compile(join(addons, "tfjs_binding.node"), binding, linked, places);
  const { openBackend } = await import("@afterstate/learner/tensor");
  const { description } = await openBackend({ name: "tensorflow" });
  say(`${description} is ready; AFTERSTATE_BACKEND=tensorflow asks for it`);
}

try {
  const failure = checkNode() ?? (await install()) ?? (await build());
  need(failure === undefined, failure);
  await setUp();
} catch (error) {
  say(error instanceof Unfinished ? error.message : `TensorFlow could not be set up: ${error.message}`);
  process.exitCode = 1;
}
