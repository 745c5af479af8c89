import { basename, join } from "node:path";
import { type EventLog, type LanguageModel, openaiModel, type Plugin } from "@afterstate/core";
import {
  banditDecider,
  baseOf,
  claimFolder,
  createWorkerTrainer,
  EMBEDDED_POLICY,
  instructionDecision,
  learnedText,
  type OnlineLearner,
  type OnlineLearnerOptions,
  onlineLearner,
  openPolicy,
  openVersionStore,
  type PolicyFiles,
  type PolicyRuntime,
  readPolicy,
  readPolicyFolder,
  ruleHintReader,
  ruleJudge,
  signalReader,
  withAdapters,
} from "@afterstate/learner";
import type { ServeOptions } from "./options.js";

/** The model that is served, and what makes it better. */
export interface ServedModel {
  /** What clients call it. */
  readonly name: string;
  readonly model: LanguageModel;
  readonly plugins: readonly Plugin[];
  /** What it runs on. */
  readonly backend: string;
  /** Absent where the model lives elsewhere. */
  readonly policy?: PolicyRuntime;
  readonly learner?: OnlineLearner;
  dispose(): Promise<void>;
}

const EMBEDDED_NAME = "embedded";
const MAX_TOKENS = 1024;
const TEMPERATURE = 0.7;

/** What a model learns with; the embedded policy does with what the learner does by itself, in the demo's batches. */
const LEARNING: Record<"embedded" | "adapters", Pick<OnlineLearnerOptions, "batchEpisodes" | "update">> = {
  embedded: { batchEpisodes: 24 },
  // A person gives few reactions, and so few halve into nothing that could agree: steps are of one size.
  adapters: { batchEpisodes: 4, update: { learningRate: 5e-4, stepSize: "fixed" } },
};

/** Opens the model that the options name, over a log in `folder`. */
export async function openModel(options: ServeOptions, folder: string, log: EventLog): Promise<ServedModel> {
  const { model: source, upstream, learner: mode, seed } = options;
  if (upstream !== undefined && source !== undefined) {
    const model = openaiModel({ model: source, baseURL: upstream });
    const text = learnedText({ log, seed });
    const reader = signalReader({ log, judge: ruleJudge(), hintReader: ruleHintReader(), attribution: text });
    const plugins = mode === "off" ? [] : [text, reader, ...deciders(options, log)];
    return { name: source, model, plugins, backend: upstream, dispose: async () => {} };
  }
  const files =
    source === undefined ? readPolicyFolder(EMBEDDED_POLICY) : withAdapters(await download(source), options.rank);
  await claimFolder(folder, baseOf(files, source ?? "the embedded policy"));
  const maxTokens = Math.min(MAX_TOKENS, Math.floor(files.config.max_position_embeddings / 2));
  const policy = await openPolicy(files, source === undefined ? {} : { maxTokens, temperature: TEMPERATURE });
  const base = files.config.lora === undefined ? undefined : files.weights;
  const text = learnedText({ log, seed });
  const trainer = mode === "off" ? undefined : await createWorkerTrainer(files.config, base);
  const learner =
    trainer === undefined || mode === "off"
      ? undefined
      : onlineLearner({
          policy,
          trainer,
          log,
          judge: ruleJudge(),
          hintReader: ruleHintReader(),
          attribution: text,
          store: await openVersionStore(join(folder, "policies")),
          mode: "live",
          signals: mode,
          seed,
          ...LEARNING[source === undefined ? "embedded" : "adapters"],
        });
  return {
    name: source === undefined ? EMBEDDED_NAME : nameOf(source),
    model: policy.model(),
    plugins: learner === undefined ? [] : [text, learner, ...deciders(options, log)],
    backend: policy.backend,
    policy,
    ...(learner !== undefined && { learner }),
    async dispose() {
      policy.dispose();
      await trainer?.dispose();
    },
  };
}

/** Who finds out which of the instructions to try is the better one. */
function deciders({ tries, seed }: ServeOptions, log: EventLog): readonly Plugin[] {
  if (tries.length === 0) return [];
  return [{ name: "instructions", decisions: [instructionDecision(tries)] }, banditDecider({ log, seed })];
}

/** A Hugging Face id as it is; of a file or folder its own name. */
function nameOf(source: string): string {
  return /^[\w.-]+\/[\w.-]+$/.test(source) && !source.endsWith(".gguf") ? source : basename(source, ".gguf");
}

/** HF_ENDPOINT and HF_TOKEN mean what they mean to Hugging Face's own tools. */
function download(source: string): Promise<PolicyFiles> {
  const { HF_ENDPOINT: hubUrl, HF_TOKEN: accessToken } = process.env;
  return readPolicy(source, { ...(hubUrl && { hubUrl }), ...(accessToken && { accessToken }) });
}
