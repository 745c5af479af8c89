import { parseArgs } from "node:util";
import { AgentError, messageOf } from "@afterstate/core";

/** Which signals train the weights; `off`: nothing learns at all. */
export type LearnerMode = "off" | "reward" | "hints" | "hybrid";

/** What the person at the terminal asked for. */
export interface ServeOptions {
  /** A folder, a GGUF file or a Hugging Face id; with `upstream` the model's name there. Absent: the embedded policy. */
  readonly model?: string;
  /** The base URL of a model that lives elsewhere. */
  readonly upstream?: string;
  /** Of the adapters that learn over `model`. */
  readonly rank: number;
  readonly port: number;
  readonly host: string;
  readonly keys: readonly string[];
  /** Absent: a folder that is removed at the end. */
  readonly data?: string;
  readonly learner: LearnerMode;
  /** Instructions of which the better ones are to be found out. */
  readonly tries: readonly string[];
  readonly seed: number;
}

/** The options, or the text that `--help` prints. */
export type ParsedOptions =
  | { readonly kind: "run"; readonly options: ServeOptions }
  | { readonly kind: "help"; readonly text: string };

const MODES: readonly LearnerMode[] = ["off", "reward", "hints", "hybrid"];
const DEFAULTS = { port: 8787, host: "127.0.0.1", learner: "hybrid", rank: 16, seed: 1 } as const;
const EMBEDDED = "embedded";

const HELP = `npx afterstate serve [options]

Serves a model by OpenAI's chat completions API. Any OpenAI client works unchanged, and what comes next in its conversations
(what users say, and what tools give back) is learned from: by weights, where the model is here, and by text that each
user's requests are given besides.

  --model M            a Hugging Face folder, a .gguf file or a Hugging Face id (default ${EMBEDDED}: the policy that ships)
  --upstream URL       pass on to another OpenAI-compatible server instead, under the name of --model; its key: OPENAI_API_KEY
  --port N             (default ${DEFAULTS.port}; 0: a free one)
  --host H             address to listen on; others than this machine's own need keys (default ${DEFAULTS.host})
  --key K              a bearer key that clients send; may be given several times; or AFTERSTATE_KEYS=K,K,…
  --data DIR           keep the event log and the policy versions there, and go on from them
  --learner MODE       what weights learn from: reward, hints or hybrid; off: nothing learns (default ${DEFAULTS.learner})
  --try TEXT           an instruction to try; may be given several times: sessions get one or none, and what works gets more
  --rank N             rank of the adapters that learn over --model (default ${DEFAULTS.rank})
  --seed N             (default ${DEFAULTS.seed})
  --help               this text

AFTERSTATE_BACKEND=tensorflow|webgpu|wasm|cpu chooses what the policy runs on.
HF_TOKEN is sent to Hugging Face for models that are not for everyone; HF_ENDPOINT names a mirror of it.
`;

const bad = (sentence: string) => new AgentError("serve/bad-option", `${sentence}; see npx afterstate serve --help`);

/** Reads the command line and the environment. @throws AgentError `serve/bad-option` with one sentence. */
export function parseOptions(args: readonly string[], environment: NodeJS.ProcessEnv): ParsedOptions {
  const { values, positionals } = parse(args);
  if (values.help === true) return { kind: "help", text: HELP };
  const [command, ...rest] = positionals;
  if (command !== "serve" || rest.length > 0)
    throw bad(
      command === undefined ? "afterstate needs a command: serve" : `there is no command "${positionals.join(" ")}"`,
    );
  for (const [name, value] of Object.entries(values)) if (value === "") throw bad(`--${name} takes no empty text`);
  const { upstream } = values;
  const model = upstream === undefined && values.model === EMBEDDED ? undefined : values.model;
  if (upstream !== undefined && !/^https?:\/\//.test(upstream)) throw bad(`--upstream takes a URL, not "${upstream}"`);
  if (upstream !== undefined && model === undefined) throw bad("--upstream needs the name of a model there: --model");
  if (values.rank !== undefined && (model === undefined || upstream !== undefined))
    throw bad("--rank goes with a --model that is served here");
  const fromEnvironment = (environment.AFTERSTATE_KEYS ?? "").split(",").map((key) => key.trim());
  const learner = values.learner ?? DEFAULTS.learner;
  const mode = MODES.find((one) => one === learner);
  const tries = values.try ?? [];
  if (tries.some((text) => text.trim() === "") || new Set(tries).size < tries.length)
    throw bad("--try takes texts that are not empty and all different");
  if (tries.length > 0 && mode === "off") throw bad("--try goes with a --learner that is not off");
  if (mode === undefined) throw bad(`--learner takes ${MODES.join(", ")}, not "${learner}"`);
  return {
    kind: "run",
    options: {
      rank: integer("--rank", values.rank, DEFAULTS.rank, 1, 256),
      port: integer("--port", values.port, DEFAULTS.port, 0, 65_535),
      host: values.host ?? DEFAULTS.host,
      keys: [...(values.key ?? []), ...fromEnvironment.filter((key) => key !== "")],
      learner: mode,
      tries,
      seed: integer("--seed", values.seed, DEFAULTS.seed, 0, 4_294_967_295),
      ...(model !== undefined && { model }),
      ...(upstream !== undefined && { upstream }),
      ...(values.data !== undefined && { data: values.data }),
    },
  };
}

function parse(args: readonly string[]) {
  const text = { type: "string" } as const;
  try {
    return parseArgs({
      args: [...args],
      strict: true,
      allowPositionals: true,
      options: {
        model: text,
        upstream: text,
        port: text,
        host: text,
        key: { type: "string", multiple: true },
        data: text,
        learner: text,
        try: { type: "string", multiple: true },
        rank: text,
        seed: text,
        help: { type: "boolean" },
      },
    });
  } catch (cause) {
    throw bad(messageOf(cause).split(/[.\n]/, 1)[0]!);
  }
}

function integer(name: string, value: string | undefined, fallback: number, low: number, high: number): number {
  if (value === undefined) return fallback;
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= low && number <= high) return number;
  throw bad(`${name} takes a whole number from ${low} to ${high}, not "${value}"`);
}
