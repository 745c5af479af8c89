import {
  AgentError,
  type LanguageModel,
  type ModelRequest,
  type ModelResponse,
  modelStream,
  samplingSettings,
} from "@afterstate/core";
import type { PolicyFiles } from "../checkpoints/policy-folder.js";
import { openMachine } from "../engine/machine.js";
import { type ToolCallConstraints, toolCallConstraints } from "../grammar/tool-call-constraint.js";
import { openBackend } from "../tensor/backend.js";
import { initialAdapter } from "../tensor/lora-config.js";
import type { Sample, SampleRequest } from "../tensor/sample-token.js";
import { assertWeightsFit, learnedShapes } from "../tensor/transformer-config.js";
import type { PolicyRuntime, PolicyWeights } from "../types.js";
import { engineSampling } from "./engine-sampling.js";
import { oneATurn } from "./others-turn.js";
import type { LoadedWeights } from "./sampling-engine.js";
import { beforeAny, cutAtStop } from "./stop-strings.js";
import { tensorSampling } from "./tensor-sampling.js";
import { openTokenizer, type PolicyTokenizer } from "./tokenizer.js";

/** How a policy serves. */
export interface PolicyOptions {
  /** The id of the weights that come with the files. Default `base`. */
  readonly version?: string;
  /** Sampling temperature where a request names none. Default 1: the policy as it is. */
  readonly temperature?: number;
  /** Longest response where a request names none, in tokens. Default 64. */
  readonly maxTokens?: number;
  /** Requests that are sampled side by side. Default 64. */
  readonly maxBatch?: number;
  /**
   * Whether the CPU engine computes guesses at the next tokens with the last one, where the text repeats itself and so many are right
   * that it is worth it. Responses are the same to the bit. Default true.
   */
  readonly speculation?: boolean;
  /**
   * Whether a tool call that the policy begins can only become one that can be read: JSON that names one of the tools and has the shape of its
   * input. A token that this forced upon the policy is masked in the record, so nothing is learned from it, and a policy that learns
   * is not told that it would have been wrong: leave it out where calls are to be learned. Default false.
   */
  readonly toolGrammar?: boolean;
}

/** One version: what it learned, as data and where it is sampled from. */
interface Version {
  readonly weights: PolicyWeights;
  readonly loaded: LoadedWeights;
  /** Requests that wait for or run on it. */
  requests: number;
  unloaded: boolean;
}

/** Opens a policy for serving on the tensor backend of this thread. */
export async function openPolicy(files: PolicyFiles, options: PolicyOptions = {}): Promise<PolicyRuntime> {
  const backend = await openBackend();
  const tokenizer = openTokenizer(files);
  const { lora } = files.config;
  if (lora !== undefined) assertWeightsFit(files.config, files.weights);
  const { config } = files;
  const sampling = {
    config,
    /** The weights under the adapters, shared by all versions. */
    base: lora === undefined ? undefined : files.weights,
    maxBatch: options.maxBatch ?? 64,
    speculation: options.speculation ?? true,
  };
  const engine = backend.name === "wasm" ? engineSampling(openMachine(backend), sampling) : tensorSampling(sampling);
  const { format, stopIds } = tokenizer;
  const grammars =
    options.toolGrammar === true
      ? toolCallConstraints(format.name, { bytes: tokenizer.bytes, size: config.vocab_size, stopIds })
      : undefined;
  const versions = new Map<string, Version>();
  let written: ReadonlyMap<number, string> | undefined;
  let serving = options.version ?? "base";

  const known = (id: string): Version => {
    const version = versions.get(id);
    if (version === undefined || version.unloaded) {
      throw new AgentError(
        "policy/unknown-version",
        `policy version "${id}" is not loaded; loaded are ${[...versions.keys()].join(", ")}`,
      );
    }
    return version;
  };

  const release = (id: string, version: Version) => {
    version.requests--;
    if (version.unloaded && version.requests === 0) free(id, version);
  };
  const free = (id: string, version: Version) => {
    version.loaded.free();
    if (versions.get(id) === version) versions.delete(id);
  };

  const sample = async (id: string, request: SampleRequest): Promise<Sample> => {
    const version = known(id);
    version.requests++;
    try {
      return await version.loaded.sample(request);
    } finally {
      release(id, version);
    }
  };

  const runtime: PolicyRuntime = {
    backend: backend.description,
    get serving() {
      return serving;
    },
    get versions() {
      return [...versions].flatMap(([id, { unloaded }]) => (unloaded ? [] : [id]));
    },
    load(id, weights) {
      if (versions.has(id))
        throw new AgentError(
          "policy/duplicate-version",
          `policy version "${id}" is already loaded; versions never change`,
        );
      assertWeightsFit(files.config, weights, learnedShapes(files.config));
      versions.set(id, { weights, loaded: engine.load(weights), requests: 0, unloaded: false });
    },
    serve(id) {
      known(id);
      serving = id;
    },
    unload(id) {
      const version = known(id);
      if (id === serving)
        throw new AgentError(
          "policy/serving-version",
          `policy version "${id}" is serving; serve another one before unloading it`,
        );
      version.unloaded = true;
      if (version.requests === 0) free(id, version);
    },
    weights: (id) => known(id).weights,
    model(pinned, { background = false } = {}) {
      const take = background ? (id: string, request: SampleRequest) => sample(id, { ...request, background }) : sample;
      const turn = background ? oneATurn() : undefined;
      return policyModel(
        tokenizer,
        config.max_position_embeddings,
        () => pinned ?? serving,
        turn,
        take,
        options,
        grammars,
      );
    },
    tokenBytes(id) {
      written ??= tokenizer.bytes;
      return Buffer.from(stopIds.has(id) ? "" : (written.get(id) ?? ""), "latin1");
    },
    encodePrompt: (messages, tools) => tokenizer.encodePrompt(messages, tools),
    async score(version, responses) {
      const longest = Math.max(0, ...responses.map(({ promptIds, ids }) => promptIds.length + ids.length));
      if (longest > config.max_position_embeddings) {
        throw new AgentError(
          "model/context-overflow",
          `a prompt and its response have ${longest} tokens and the policy holds ${config.max_position_embeddings}; they cannot be scored`,
        );
      }
      return responses.length === 0 ? [] : known(version).loaded.score(responses);
    },
    dispose() {
      for (const { loaded } of versions.values()) loaded.free();
      versions.clear();
      engine.dispose();
    },
  };
  runtime.load(
    serving,
    lora === undefined ? files.weights : (files.adapter ?? initialAdapter(learnedShapes(files.config), 0)),
  );
  return runtime;
}

/** The chat protocol over a sampler. With `turn`, each request waits for its own. */
function policyModel(
  tokenizer: PolicyTokenizer,
  maxPositions: number,
  versionNow: () => string,
  turn: (() => Promise<void>) | undefined,
  sample: (version: string, request: SampleRequest) => Promise<Sample>,
  options: PolicyOptions,
  grammars: ToolCallConstraints | undefined,
): LanguageModel {
  return {
    name: "policy",
    policyVersion: versionNow,
    generate: (request, { signal }) =>
      modelStream(async (push) => {
        const version = request.policyVersion ?? versionNow();
        if (turn !== undefined) await turn();
        const promptIds = tokenizer.encodePrompt(request.messages, request.tools);
        if (promptIds.length >= maxPositions) {
          throw new AgentError(
            "model/context-overflow",
            `the context has ${promptIds.length} tokens and the policy holds ${maxPositions}; set maxContextTokens so that the agent compacts it`,
          );
        }
        const {
          temperature = options.temperature ?? 1,
          maxTokens = options.maxTokens ?? 64,
          ...limits
        } = samplingSettings(request);
        const { stop = [], ...truncation } = limits;
        const text = textDeltas(tokenizer, stop, (delta) => push({ type: "text-delta", text: delta }));
        const room = Math.min(maxTokens, maxPositions - promptIds.length);
        const constraint = request.tools.length > 0 ? grammars?.constrain(request.tools, room) : undefined;
        const sampled = await sample(version, {
          promptIds,
          seed: request.seed,
          temperature,
          maxTokens,
          stopIds: tokenizer.stopIds,
          ...(constraint !== undefined && { constraint }),
          ...(Object.keys(truncation).length > 0 && { truncation }),
          signal,
          onToken: text.token,
          endsWith: text.isAtStop,
        });
        const response = responseOf(tokenizer, request, version, { promptIds, temperature }, sampled);
        text.end(response.message.content);
        for (const call of response.message.toolCalls ?? []) push({ type: "tool-call", call });
        return response;
      }),
  };
}

function responseOf(
  tokenizer: PolicyTokenizer,
  request: ModelRequest,
  policyVersion: string,
  { promptIds, temperature }: { readonly promptIds: readonly number[]; readonly temperature: number },
  { ids, logProbs, mask, stoppedBy }: Sample,
): ModelResponse {
  const text = tokenizer.decode(ids);
  const message = tokenizer.format.parse(
    cutAtStop(text, request.stop ?? []) ?? text,
    (index) => `call-${request.seed.toString(36)}-${index}`,
  );
  const finished = message.toolCalls === undefined ? "stop" : "tool-calls";
  return {
    message,
    finishReason: stoppedBy === "stop" ? finished : stoppedBy === "abort" ? "aborted" : "length",
    usage: { inputTokens: promptIds.length, outputTokens: ids.length },
    policyVersion,
    tokens: { promptIds, ids, logProbs, mask, temperature },
  };
}

/**
 * Turns sampled ids into text as far as it is complete characters and surely not (the beginning of) a tool call or stop string; the rest
 * of the text follows at the end. Each token is decoded with the one before it, as some tokenizers write a token's leading space only after another token.
 */
function textDeltas(tokenizer: PolicyTokenizer, stop: readonly string[], emit: (text: string) => void) {
  let before: readonly number[] = []; // what was decoded last
  let fresh: number[] = []; // sampled since
  let decoded = "";
  let emitted = 0;
  const emitTo = (text: string, end: number) => {
    if (end > emitted) emit(text.slice(emitted, end));
    emitted = Math.max(emitted, end);
  };
  return {
    token(id: number): void {
      fresh.push(id);
      const whole = tokenizer.decode([...before, ...fresh]);
      if (whole.endsWith("\uFFFD")) return;
      decoded += whole.slice(tokenizer.decode(before).length);
      [before, fresh] = [fresh, []];
      emitTo(decoded, Math.min(tokenizer.format.textLength(decoded), beforeAny(decoded, stop)));
    },
    isAtStop: (): boolean => cutAtStop(decoded, stop) !== undefined,
    end: (content: string): void => emitTo(content, content.length),
  };
}
