import { join } from "node:path";
import { createAgent, openEventLog } from "@afterstate/core";
import {
  baseOf,
  createWorkerTrainer,
  onlineLearner,
  openPolicy,
  openVersionStore,
  type PolicyFiles,
  readPolicy,
  ruleHintReader,
  ruleJudge,
  withAdapters,
} from "@afterstate/learner";
import { memoryBank } from "@afterstate/plugins-memory";
import { tellUpdates } from "./arm.js";
import { openChat } from "./chat.js";
import { openDataFolder } from "./data-folder.js";
import { tellModelProgress } from "./model-progress.js";
import type { DemoOptions } from "./options.js";
import type { DemoSurroundings, RunningDemo } from "./run.js";

/** Longest answer, and longest conversation that the model sees with it, in tokens. */
const MAX_TOKENS = 200;
const MAX_CONTEXT_TOKENS = 2048;
/** A person gives few reactions: an update takes a handful of episodes. */
const BATCH_EPISODES = 4;
/** So few halve into nothing that could agree: steps are of one size. */
const UPDATE = { learningRate: 5e-4, stepSize: "fixed" } as const;
const TEMPERATURE = 0.7;
const PERSON = "you";

/** A chat with a model that a person names; adapters over it learn from what the person says next. */
export async function chatWithModel(
  source: string,
  options: DemoOptions,
  { report, page, onChat }: DemoSurroundings,
): Promise<RunningDemo> {
  const { learner: mode, seed, rank, data } = options;
  report({ type: "loading", text: `looking for ${source}` });
  const files = withAdapters(await readModel(source, report), rank);
  const { folder, remove } = await openDataFolder(data, baseOf(files, source));
  report({ type: "loading", text: "opening the backend" });
  const context = Math.min(MAX_CONTEXT_TOKENS, files.config.max_position_embeddings);
  const maxTokens = Math.min(MAX_TOKENS, Math.floor(context / 2));
  const policy = await openPolicy(files, { maxTokens, temperature: TEMPERATURE });
  const trainer = mode === "off" ? undefined : await createWorkerTrainer(files.config, files.weights);
  const log = await openEventLog(join(folder, "events"));
  const learner =
    trainer === undefined || mode === "off"
      ? undefined
      : onlineLearner({
          policy,
          trainer,
          log,
          judge: ruleJudge(),
          hintReader: ruleHintReader(),
          store: await openVersionStore(join(folder, "policies")),
          mode: "live",
          signals: mode,
          update: UPDATE,
          batchEpisodes: BATCH_EPISODES,
          seed,
        });
  const agent = await createAgent({
    model: policy.model(),
    seed,
    log,
    maxContextTokens: context - maxTokens,
    plugins: [memoryBank({ path: join(folder, "memory", "bank.jsonl") }), ...(learner === undefined ? [] : [learner])],
  });
  tellUpdates(agent, { arm: "learner", report });
  onChat(openChat(agent, PERSON, report));
  report({
    type: "ready",
    backend: policy.backend,
    learner: mode,
    control: false,
    seed,
    parameters: [...files.weights.values()].reduce((sum, { data }) => sum + data.length, 0),
    policyVersion: policy.serving,
    heldOut: 0,
    sessions: 0,
    page,
    ...(data !== undefined && { data }),
  });
  return {
    async close() {
      await agent.close();
      await log.close();
      policy.dispose();
      await trainer?.dispose();
      await remove();
    },
  };
}

/** HF_ENDPOINT and HF_TOKEN mean what they mean to Hugging Face's own tools. */
function readModel(source: string, report: DemoSurroundings["report"]): Promise<PolicyFiles> {
  const { HF_ENDPOINT: hubUrl, HF_TOKEN: accessToken } = process.env;
  return readPolicy(source, {
    onProgress: tellModelProgress(report),
    ...(hubUrl && { hubUrl }),
    ...(accessToken && { accessToken }),
  });
}
