import { AgentError, messageOf } from "@afterstate/core";
import type { Chat } from "./chat.js";
import { type Dashboard, openDashboard } from "./dashboard.js";
import { jsonDisplay } from "./display-json.js";
import { terminalDisplay } from "./display-terminal.js";
import { chatWithModel } from "./model-chat.js";
import { type DemoOptions, parseOptions } from "./options.js";
import type { Display } from "./progress.js";
import { type DemoSurroundings, runDemo } from "./run.js";
import { terminalChat } from "./terminal-chat.js";

const USAGE = 2;
const FAILED = 1;

/** Runs the demo as the options say. @returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  let parsed: ReturnType<typeof parseOptions>;
  try {
    parsed = parseOptions(args);
  } catch (cause) {
    process.stderr.write(`${messageOf(cause)}\n`);
    return USAGE;
  }
  if (parsed.kind === "help") {
    process.stdout.write(parsed.text);
    return 0;
  }
  const stop = stopOnSignals();
  const { options } = parsed;
  const display = options.json ? jsonDisplay((line) => process.stdout.write(line)) : terminalDisplay(process.stdout);
  // Whatever ends the process, the terminal gets its cursor back.
  process.on("exit", () => void display.close());
  let page: Dashboard | undefined;
  try {
    page = await openDashboard(options.port);
    await run(options, display, page, stop);
    return stop.aborted ? 130 : 0;
  } catch (cause) {
    await display.close();
    process.stderr.write(`${sentence(cause)}\n`);
    return FAILED;
  } finally {
    await page?.close();
    await display.close();
  }
}

async function run(options: DemoOptions, display: Display, page: Dashboard, signal: AbortSignal): Promise<void> {
  let talk: Chat | undefined;
  const surroundings: DemoSurroundings = {
    page: page.url,
    signal,
    onChat(chat) {
      talk = chat;
      page.connect(chat);
    },
    report(progress) {
      display.show(progress);
      page.show(progress);
    },
  };
  const { model } = options;
  const demo = await (model === undefined
    ? runDemo(options, surroundings)
    : chatWithModel(model, options, surroundings));
  try {
    if (options.exit || signal.aborted) return;
    const { stdin: input, stdout: output } = process;
    if (talk !== undefined && !options.json && input.isTTY) await terminalChat({ chat: talk, input, output, signal });
    else await aborted(signal);
  } finally {
    await demo.close();
  }
}

/** Aborted by the first SIGINT or SIGTERM; a second one ends the process at once. */
function stopOnSignals(): AbortSignal {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  return controller.signal;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  // A timer keeps the process up where nothing else does.
  const alive = setInterval(() => {}, 60_000);
  return new Promise((resolve) =>
    signal.addEventListener(
      "abort",
      () => {
        clearInterval(alive);
        resolve();
      },
      { once: true },
    ),
  );
}

/** One sentence for what went wrong on purpose; everything else is a defect and shows where it arose. */
function sentence(cause: unknown): string {
  return AgentError.isInstance(cause)
    ? cause.message
    : cause instanceof Error
      ? (cause.stack ?? cause.message)
      : String(cause);
}

process.exitCode = await main(process.argv.slice(2));
// Worker threads and open handles must not keep a finished run alive.
process.exit();
