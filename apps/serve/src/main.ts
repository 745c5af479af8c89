import { AgentError, messageOf } from "@afterstate/core";
import { type ParsedOptions, parseOptions } from "./options.js";
import { serve } from "./serve.js";

const USAGE = 2;
const FAILED = 1;

/** Serves until the first SIGINT or SIGTERM; a second one ends the process at once. @returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const say = (line: string) => process.stdout.write(`${line}\n`);
  let parsed: ParsedOptions;
  try {
    parsed = parseOptions(args, process.env);
  } catch (cause) {
    process.stderr.write(`${messageOf(cause)}\n`);
    return USAGE;
  }
  if (parsed.kind === "help") {
    process.stdout.write(parsed.text);
    return 0;
  }
  const stopped = stopOnSignals();
  try {
    const server = await serve(parsed.options, say);
    for (const line of server.lines) say(line);
    await stopped;
    say("stopping: running responses are let end …");
    await server.close();
    return 0;
  } catch (cause) {
    const stack = cause instanceof Error ? cause.stack : undefined;
    process.stderr.write(`${AgentError.isInstance(cause) ? cause.message : (stack ?? String(cause))}\n`);
    return FAILED;
  }
}

function stopOnSignals(): Promise<void> {
  return new Promise((resolve) => {
    let stopping = false;
    const stop = () => {
      if (stopping) process.exit(130);
      stopping = true;
      resolve();
    };
    process.on("SIGINT", stop);
    process.on("SIGTERM", stop);
  });
}

process.exitCode = await main(process.argv.slice(2));
// Worker threads must not keep a finished run alive.
process.exit();
