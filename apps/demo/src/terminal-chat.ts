import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import type { Chat } from "./chat.js";

const WELCOME = `
Type to talk to the agent; it learns from what you say next.
/good and /bad judge the last answer, /better TEXT says what it should have been, /new starts another conversation, /quit ends.
`;

/** What the chat in the terminal needs. */
export interface TerminalChatOptions {
  readonly chat: Chat;
  readonly input: Readable;
  readonly output: Writable & { readonly isTTY?: boolean };
  /** Ends the chat. */
  readonly signal: AbortSignal;
}

/** Reads messages from a terminal until the input ends, or `/quit`, or an abort. Answers are told to the displays. */
export async function terminalChat({ chat, input, output, signal }: TerminalChatOptions): Promise<void> {
  const lines = createInterface({ input, output, prompt: "you: ", terminal: output.isTTY === true });
  const close = () => lines.close();
  signal.addEventListener("abort", close, { once: true });
  // On a terminal in raw mode Ctrl-C is a key, not a signal.
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  let conversation = 1;
  let lastEpisode: string | undefined;
  const sessionId = () => `terminal-${conversation}`;

  const judge = async (feedback: { readonly score?: number; readonly correction?: string }) => {
    if (lastEpisode === undefined) return void output.write("there is no answer to judge yet\n");
    await chat.feedback(lastEpisode, feedback);
    output.write("noted\n");
  };

  const handle = async (line: string): Promise<boolean> => {
    const [command, ...words] = line.trim().split(/\s+/);
    if (command === undefined || command === "") return true;
    if (command === "/quit") return false;
    if (command === "/good") await judge({ score: 1 });
    else if (command === "/bad") await judge({ score: -1 });
    else if (command === "/better" && words.length > 0) await judge({ score: -1, correction: words.join(" ") });
    else if (command === "/new") {
      await chat.end(sessionId());
      conversation += 1;
    } else if (command.startsWith("/")) output.write(`there is no ${command}; ${WELCOME.trim().split("\n")[1]}\n`);
    else ({ episodeId: lastEpisode } = await chat.send({ sessionId: sessionId(), text: line.trim() }));
    return true;
  };

  output.write(WELCOME);
  lines.prompt();
  try {
    for await (const line of lines) {
      if (signal.aborted || !(await handle(line))) break;
      lines.prompt();
    }
    await chat.end(sessionId());
  } finally {
    signal.removeEventListener("abort", close);
    lines.close();
  }
}
