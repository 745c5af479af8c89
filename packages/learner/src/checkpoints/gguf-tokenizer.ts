import type { TokenizerFiles } from "../policy/tokenizer.js";
import { addedToken, byteLevelTokenizer, tokenizerHead } from "./byte-level-tokenizer.js";
import { CheckpointError } from "./checkpoint-error.js";
import { type Fields, fieldsOf, shown } from "./fields.js";
import type { GgufValue } from "./gguf-header.js";
import { PRE_TOKENIZERS } from "./pre-tokenizers.js";
import { sentencePieceModel } from "./sentence-piece.js";

/** `tokenizer.ggml.token_type` of tokens that stand for themselves in a text and are never merged: control and user-defined. */
const CONTROL = 3;
const USER_DEFINED = 4;

/** Tokens that end a response whatever the metadata say, as llama.cpp does. */
const ENDS = ["<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|endoftext|>"];

/** The vocabulary of a GGUF file. */
export interface GgufVocabulary {
  readonly tokens: readonly string[];
  readonly types: readonly number[];
  readonly scores: readonly number[];
  readonly merges: readonly string[];
}

/**
 * The tokenizer and chat template of a GGUF file, as a Hugging Face folder would hold them.
 *
 * @param vocabSize rows of the embedding table.
 * @throws CheckpointError `checkpoint/unsupported` for a kind of tokenizer that is not rebuilt, `checkpoint/mismatch` when it does not fit
 *   the weights, `checkpoint/missing` without a chat template.
 */
export function tokenizerFromGguf(
  file: string,
  metadata: ReadonlyMap<string, GgufValue>,
  vocabSize: number,
): TokenizerFiles {
  const fields = fieldsOf(file, Object.fromEntries(metadata));
  const vocabulary = readVocabulary(file, metadata);
  const { tokens, types } = vocabulary;
  if (tokens.length > vocabSize) {
    throw new CheckpointError("mismatch", {
      file,
      field: "tokenizer.ggml.tokens",
      expected: `at most ${vocabSize} tokens, the rows of the embedding`,
      found: `${tokens.length}`,
    });
  }
  const template = fields.text("tokenizer.chat_template");
  if (template === undefined) {
    throw new CheckpointError("missing", {
      file,
      field: "tokenizer.chat_template",
      expected: "a chat template",
      found: "nothing",
      remedy: "use an instruction-tuned version of the model",
    });
  }
  const token = (key: string): string | undefined => {
    if (!fields.has(key)) return undefined;
    const id = fields.value(key) as number;
    if (typeof tokens[id] === "string") return tokens[id];
    throw new CheckpointError("mismatch", {
      file,
      field: key,
      expected: `an id below ${tokens.length}`,
      found: shown(id),
    });
  };
  const eos = token("tokenizer.ggml.eos_token_id");
  if (eos === undefined) {
    throw new CheckpointError("missing", {
      file,
      field: "tokenizer.ggml.eos_token_id",
      expected: "an id",
      found: "nothing",
    });
  }
  const bos = token("tokenizer.ggml.bos_token_id");
  const special = ["tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"].map(token);
  const ends = new Set([eos, ...special, ...ENDS.filter((end) => types[tokens.indexOf(end)] === CONTROL)]);
  return {
    tokenizer: tokenizerJson(file, fields, vocabulary),
    tokenizerConfig: { chat_template: template, eos_token: eos, ...(bos === undefined ? {} : { bos_token: bos }) },
    stopTokens: [...ends].filter((end) => end !== undefined),
  };
}

/** A tokenizer.json with the vocabulary of a GGUF file. @throws CheckpointError as {@link tokenizerFromGguf}. */
export function tokenizerJson(file: string, fields: Fields, vocabulary: GgufVocabulary): object {
  fields.only("tokenizer.ggml.model", ["gpt2", "llama"]);
  const { tokens, types, merges } = vocabulary;
  const added = addedTokens(tokens, types);
  if (fields.text("tokenizer.ggml.model") === "llama") {
    return {
      ...tokenizerHead(added),
      ...sentencePieceModel(vocabulary, fields.flag("tokenizer.ggml.add_space_prefix", true)),
    };
  }
  const name = fields.text("tokenizer.ggml.pre");
  const known = PRE_TOKENIZERS.get(name ?? "");
  if (known === undefined) {
    throw new CheckpointError("unsupported", {
      file,
      field: "tokenizer.ggml.pre",
      expected: `a pre-tokenizer among ${[...PRE_TOKENIZERS.keys()].join(", ")}`,
      found: name ?? "nothing",
    });
  }
  const vocab = Object.fromEntries(tokens.map((content, id) => [content, id]));
  return byteLevelTokenizer({ ...known, addedTokens: added, vocab, merges });
}

function addedTokens(tokens: readonly string[], types: readonly number[]): readonly object[] {
  return tokens.flatMap((content, id) =>
    types[id] === CONTROL || types[id] === USER_DEFINED ? [addedToken(content, id, types[id] === CONTROL)] : [],
  );
}

/** @throws CheckpointError `checkpoint/missing` or `checkpoint/corrupt`. */
export function readVocabulary(file: string, metadata: ReadonlyMap<string, GgufValue>): GgufVocabulary {
  const list = <T extends "string" | "number">(name: string, type: T, required: boolean) => {
    const field = `tokenizer.ggml.${name}`;
    const values = metadata.get(field);
    if (values === undefined && !required) return [];
    if (values === undefined) {
      throw new CheckpointError("missing", { file, field, expected: `a list of ${type}s`, found: "nothing" });
    }
    if (!Array.isArray(values) || values.some((value) => typeof value !== type)) {
      throw new CheckpointError("corrupt", { file, field, expected: `a list of ${type}s`, found: "other values" });
    }
    return values as readonly (T extends "string" ? string : number)[];
  };
  const bytePairs = metadata.get("tokenizer.ggml.model") === "gpt2";
  const tokens = list("tokens", "string", true);
  const types = list("token_type", "number", true);
  const scores = list("scores", "number", metadata.get("tokenizer.ggml.model") === "llama");
  const merges = list("merges", "string", bytePairs);
  const fail = (name: string, expected: string, found: string) => {
    throw new CheckpointError("corrupt", { file, field: `tokenizer.ggml.${name}`, expected, found });
  };
  if (types.length !== tokens.length) fail("token_type", `${tokens.length}, one a token`, `${types.length}`);
  if (!bytePairs && scores.length !== tokens.length)
    fail("scores", `${tokens.length}, one a token`, `${scores.length}`);
  if (new Set(tokens).size !== tokens.length) fail("tokens", "each token once", "one twice");
  const broken = merges.find((merge) => !/^[^ ]+ [^ ]+$/.test(merge));
  if (broken !== undefined) fail("merges", "two pieces with a space between", shown(broken));
  return { tokens, types, scores, merges };
}
