import { parseArgs } from "node:util";
import { AgentError, messageOf } from "@afterstate/core";
import type { LearnerMode } from "./progress.js";

/** What the person at the terminal asked for. */
export interface DemoOptions {
  /** One JSON object a line on standard output, nothing else there. */
  readonly json: boolean;
  /** Ends after the summary. */
  readonly exit: boolean;
  /** Goes straight to chatting, without simulated users. */
  readonly chat: boolean;
  /** A folder, a GGUF file or a Hugging Face id; such a model is only chatted with. Absent: the embedded policy. */
  readonly model?: string;
  /** Of the adapters that learn over `model`. */
  readonly rank: number;
  readonly seed: number;
  /** Learning stops after that long, or after `sessions`, whichever is first. */
  readonly minutes: number;
  readonly sessions: number;
  readonly learner: LearnerMode;
  /** The agent on show learns from shuffled votes and no hints: the control, watched in person. */
  readonly control: boolean;
  /** Absent: the usual port, or a free one when that is taken. */
  readonly port?: number;
  /** Absent: a folder that is removed at the end. */
  readonly data?: string;
}

/** The options, or the text that `--help` prints. */
export type ParsedOptions =
  | { readonly kind: "run"; readonly options: DemoOptions }
  | { readonly kind: "help"; readonly text: string };

const MODES: readonly LearnerMode[] = ["off", "reward", "hints", "hybrid"];
const DEFAULTS = { seed: 1, minutes: 6, sessions: 560, learner: "hybrid", rank: 16 } as const;

const HELP = `npm start -- [options]

An agent answers homework questions of simulated users, reads their reactions, and learns from them.
Then it stays up, so that you can talk to it in this terminal or on the page that it prints.

  --chat               talk to the agent at once, without simulated users
  --model M            talk with another model: a Hugging Face folder, a .gguf file or a Hugging Face id
  --rank N             rank of the adapters that learn over it (default ${DEFAULTS.rank})
  --exit               end after the summary
  --json               one JSON object a line on standard output, nothing else there
  --seed N             same seed, same run (default ${DEFAULTS.seed})
  --sessions N         conversations to learn from (default ${DEFAULTS.sessions})
  --minutes M          stop learning after M minutes (default ${DEFAULTS.minutes})
  --learner MODE       off, reward, hints or hybrid (default ${DEFAULTS.learner})
  --control shuffled-votes
                       show the control instead: votes shuffled between steps, no hints
  --port N             port of the page (default: 4747, or a free one)
  --data DIR           keep the event log and the policy versions there, and go on from them
  --help               this text

AFTERSTATE_BACKEND=tensorflow|webgpu|wasm|cpu chooses what the policy runs on.
HF_TOKEN is sent to Hugging Face for models that are not for everyone; HF_ENDPOINT names a mirror of it.
`;

const bad = (sentence: string) => new AgentError("demo/bad-option", `${sentence}; see npm start -- --help`);

/** Reads the command line. @throws AgentError `demo/bad-option` with one sentence. */
export function parseOptions(args: readonly string[]): ParsedOptions {
  const values = parseValues(args);
  if (values.help === true) return { kind: "help", text: HELP };
  if (values.control !== undefined && values.control !== "shuffled-votes") {
    throw bad(`--control takes shuffled-votes, not "${values.control}"`);
  }
  const control = values.control !== undefined;
  if (control && values.learner !== undefined) throw bad("--control and --learner exclude each other");
  if (values.data === "") throw bad("--data takes a folder, not an empty text");
  if (values.model === "") throw bad("--model takes a folder, a .gguf file or a Hugging Face id, not an empty text");
  if (values.model === undefined && values.rank !== undefined) throw bad("--rank goes with --model");
  if (values.model !== undefined && control) throw bad("--control goes with simulated users, not with --model");
  const port = values.port === undefined ? undefined : integer("--port", values.port, 1, 65_535);
  return {
    kind: "run",
    options: {
      json: values.json ?? false,
      exit: values.exit ?? false,
      chat: values.chat ?? values.model !== undefined,
      rank: values.rank === undefined ? DEFAULTS.rank : integer("--rank", values.rank, 1, 256),
      seed: values.seed === undefined ? DEFAULTS.seed : integer("--seed", values.seed, 0, 4_294_967_295),
      minutes: values.minutes === undefined ? DEFAULTS.minutes : positive("--minutes", values.minutes),
      sessions:
        values.sessions === undefined ? DEFAULTS.sessions : integer("--sessions", values.sessions, 1, 1_000_000),
      learner: values.learner === undefined ? DEFAULTS.learner : mode(values.learner),
      control,
      ...(port === undefined ? {} : { port }),
      ...(values.data === undefined ? {} : { data: values.data }),
      ...(values.model === undefined ? {} : { model: values.model }),
    },
  };
}

function parseValues(args: readonly string[]) {
  try {
    const text = { type: "string" } as const;
    const flag = { type: "boolean" } as const;
    return parseArgs({
      args: [...args],
      strict: true,
      options: {
        json: flag,
        exit: flag,
        chat: flag,
        model: text,
        rank: text,
        help: flag,
        seed: text,
        minutes: text,
        sessions: text,
        learner: text,
        control: text,
        port: text,
        data: text,
      },
    }).values;
  } catch (cause) {
    throw bad(sentenceOf(cause));
  }
}

/** Node's own message, cut to its first sentence. */
function sentenceOf(cause: unknown): string {
  const message = messageOf(cause);
  const unknown = /^Unknown option '([^']+)'/.exec(message);
  if (unknown) return `there is no option ${unknown[1]}`;
  const unexpected = /^Unexpected argument '([^']*)'/.exec(message);
  if (unexpected) return `"${unexpected[1]}" is not an option`;
  const missing = /^Option '([^' ]+)[^']*' argument (missing|is ambiguous)/.exec(message);
  if (missing) return `${missing[1]} needs a value`;
  const superfluous = /^Option '([^']+)' does not take an argument/.exec(message);
  if (superfluous) return `${superfluous[1]} takes no value`;
  return message.split("\n")[0]!.replace(/\.$/, "");
}

function integer(name: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < low || value > high) {
    throw bad(`${name} takes a whole number from ${low} to ${high}, not "${text}"`);
  }
  return value;
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value <= 0) {
    throw bad(`${name} takes a number above 0, not "${text}"`);
  }
  return value;
}

function mode(text: string): LearnerMode {
  const found = MODES.find((name) => name === text);
  if (found === undefined) throw bad(`--learner takes ${MODES.join(", ")}, not "${text}"`);
  return found;
}
