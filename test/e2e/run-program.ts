import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The repository's root folder. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

/** What came of a program. */
export interface ProgramResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that runs. */
export interface RunningProgram {
  readonly ended: Promise<ProgramResult>;
  /** Resolves once a whole line of standard output satisfies `test`; rejects when the program ends before. */
  line(test: (line: string) => boolean): Promise<string>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts a built program of the repository, without standard input. */
export function startProgram(path: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): RunningProgram {
  const child = spawn(process.execPath, [path, ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr, seen] = ["", "", 0];
  const waiting: { test: (line: string) => boolean; resolve: (line: string) => void; reject: (e: Error) => void }[] =
    [];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    const lines = stdout.slice(seen).split("\n").slice(0, -1);
    for (const line of lines) {
      seen += line.length + 1;
      for (const one of waiting.filter(({ test }) => test(line))) {
        waiting.splice(waiting.indexOf(one), 1);
        one.resolve(line);
      }
    }
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = new Promise<ProgramResult>((resolve) => {
    child.on("close", (code, signal) => {
      for (const { reject } of waiting) reject(new Error(`the program ended before that line: ${stderr || stdout}`));
      resolve({ code, signal, stdout, stderr });
    });
  });
  return {
    ended,
    line: (test) => new Promise((resolve, reject) => waiting.push({ test, resolve, reject })),
    kill: (signal) => child.kill(signal),
  };
}

/** Runs a built program to its end. */
export function runProgram(
  path: string,
  args: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<ProgramResult> {
  return startProgram(path, args, env).ended;
}
