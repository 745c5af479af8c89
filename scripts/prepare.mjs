// What `npm start` and `npm test` do first, in plain Node without dependencies: check Node, install when needed, build.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root folder. */
export const root = fileURLToPath(new URL("..", import.meta.url)).replace(/[\\/]$/, "");

const readJson = (path) => JSON.parse(readFileSync(join(root, path), "utf8"));

/** Says what is being done, on standard error: standard output belongs to the job itself. */
export function say(text) {
  process.stderr.write(`[afterstate] ${text}\n`);
}

/** A sentence when this Node is older than package.json's `engines` asks for, else undefined. */
export function nodeTooOld(version, range) {
  const needed = range.replace(/^\D*/, "").split(".").map(Number);
  const present = version.split(".").map(Number);
  const first = [0, 1, 2].find((i) => (present[i] || 0) !== (needed[i] || 0));
  if (first === undefined || (present[first] || 0) > (needed[first] || 0)) return undefined;
  return `Afterstate needs Node ${needed.join(".")} or newer, and this is Node ${version}; install a newer one from nodejs.org and run the same command again.`;
}

/**
 * Why the dependencies have to be installed, or undefined when node_modules holds what package-lock.json asks for.
 * Optional packages may be absent: they belong to other machines.
 */
export function whyInstall(lock, installed) {
  if (installed === undefined) return "no dependencies are installed yet";
  for (const [path, wanted] of Object.entries(lock.packages)) {
    if (path === "") continue;
    const present = installed.packages[path];
    const optional = wanted.optional === true || wanted.devOptional === true;
    if (present === undefined ? !optional : present.version !== wanted.version || present.link !== wanted.link) {
      return `package-lock.json has changed (${path})`;
    }
  }
  return undefined;
}

/** Runs a program and resolves with its exit code; its standard output goes where `stdout` says. Signals are passed on. */
export function runProgram(command, args, { stdout = 2, env = process.env, cwd = root } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", stdout, 2] });
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
    const pass = (signal) => child.kill(signal);
    for (const signal of signals) process.on(signal, pass);
    const settle = (then) => {
      for (const signal of signals) process.off(signal, pass);
      then();
    };
    child.on("error", (error) => settle(() => reject(error)));
    child.on("exit", (code, signal) =>
      settle(() => {
        // A program that was ended by a signal ends this one, too, in the same way.
        if (signal !== null) process.kill(process.pid, signal);
        else resolve(code);
      }),
    );
  });
}

/** npm as it runs now, else the one on the PATH. */
export function npmCommand() {
  const running = process.env.npm_execpath;
  if (running !== undefined && /^npm/.test(basename(running)) && existsSync(running))
    return [process.execPath, running];
  return [process.platform === "win32" ? "npm.cmd" : "npm"];
}

/** Installs the locked dependencies when they are not there. @returns a sentence when that failed. */
export async function install() {
  const lockPath = join("node_modules", ".package-lock.json");
  const why = whyInstall(
    readJson("package-lock.json"),
    existsSync(join(root, lockPath)) ? readJson(lockPath) : undefined,
  );
  if (why === undefined) return undefined;
  say(`installing, because ${why} (npm ci, about a minute) …`);
  const [command, ...first] = npmCommand();
  const args = [...first, "ci", "--loglevel=error", "--no-audit", "--no-fund", "--prefer-offline"];
  let reason;
  try {
    const code = await runProgram(command, args);
    if (code === 0) return undefined;
    reason = `"npm ci" ended with exit code ${code}`;
  } catch (error) {
    reason = `npm could not be started (${error.message})`;
  }
  return `The dependencies could not be installed: ${reason}. Check the messages above and the network, then run "npm ci --loglevel=notice" in ${root}.`;
}

/** Compiles what has changed. @returns a sentence when that failed. */
export async function build() {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const started = Date.now();
  const learner = join(root, "packages", "learner");
  if (kernelsAreStale(learner)) {
    const asc = join(root, "node_modules", "assemblyscript", "bin", "asc.js");
    const code = await runProgram(process.execPath, [asc, "--config", "asconfig.json"], { cwd: learner });
    if (code !== 0) return `The build failed: asc ended with exit code ${code}; its messages are above.`;
  }
  const code = await runProgram(process.execPath, [tsc, "-b", "--pretty", String(process.stderr.isTTY === true)]);
  if (code !== 0) return `The build failed: tsc -b ended with exit code ${code}; its messages are above.`;
  say(`built in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  return undefined;
}

/** Whether the engine's kernels have changed since they were compiled. */
function kernelsAreStale(learner) {
  const changed = (path) => statSync(join(learner, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = readdirSync(join(learner, "assembly")).map((name) => join("assembly", name));
  return Math.max(...[...sources, "asconfig.json"].map(changed)) > changed(join("dist", "kernels.wasm"));
}

/** The sentence of {@link nodeTooOld} for this process. */
export function checkNode() {
  return nodeTooOld(process.versions.node, readJson("package.json").engines.node);
}
