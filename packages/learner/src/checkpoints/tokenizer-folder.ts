import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { TokenizerFiles } from "../policy/tokenizer.js";
import { CheckpointError } from "./checkpoint-error.js";
import { shown } from "./fields.js";
import { readJsonObject, readJsonObjectIfAny } from "./json-file.js";

/** Reads tokenizer, chat template and ends of responses off a Hugging Face folder. @throws CheckpointError */
export function readTokenizerFolder(folder: string, vocabSize: number): TokenizerFiles {
  const tokenizer = readJsonObject(join(folder, "tokenizer.json"));
  const configPath = join(folder, "tokenizer_config.json");
  const config = readJsonObject(configPath);
  const contents = tokenContents(join(folder, "tokenizer.json"), tokenizer, vocabSize);
  const generation = readJsonObjectIfAny(join(folder, "generation_config.json"));
  const endIds = [generation?.eos_token_id ?? []].flat();
  const ends = endIds.map((id) => {
    const content = contents.get(id as number);
    if (content !== undefined) return content;
    throw new CheckpointError("mismatch", {
      file: join(folder, "generation_config.json"),
      expected: "ids of the tokenizer's tokens as eos_token_id",
      found: shown(id),
    });
  });
  const eos = tokenText(config.eos_token) ?? ends[0];
  if (eos === undefined) {
    throw new CheckpointError("missing", {
      file: configPath,
      expected: "an eos_token",
      found: shown(config.eos_token),
    });
  }
  const bos = tokenText(config.bos_token);
  const { bos_token: _, ...rest } = config;
  return {
    tokenizer,
    tokenizerConfig: {
      ...rest,
      chat_template: readChatTemplate(folder, config.chat_template),
      eos_token: eos,
      ...(bos === undefined ? {} : { bos_token: bos }),
    },
    ...(ends.length > 0 ? { stopTokens: ends } : {}),
  };
}

/** Contents of all tokens by id. @throws CheckpointError when the tokenizer has more ids than the embedding has rows. */
function tokenContents(
  file: string,
  { model, added_tokens: added }: Readonly<Record<string, unknown>>,
  vocabSize: number,
): ReadonlyMap<number, string> {
  const vocab = (model as { vocab?: unknown } | undefined)?.vocab;
  if (typeof vocab !== "object" || vocab === null || !Array.isArray(added ?? [])) {
    throw new CheckpointError("corrupt", { file, expected: "model.vocab and added_tokens", found: "neither" });
  }
  const contents = new Map<number, string>();
  for (const [content, id] of Object.entries(vocab)) {
    if (contents.has(id as number)) {
      const found = `id ${shown(id)} of token ${shown(content)}, too`;
      throw new CheckpointError("corrupt", { file, expected: "each id once", found });
    }
    contents.set(id as number, content);
  }
  for (const token of (added ?? []) as readonly ({ id: number; content: string } | null)[]) {
    contents.set(token?.id ?? -1, token?.content ?? "");
  }
  for (const [id, content] of contents) {
    if (Number.isInteger(id) && id >= 0 && id < vocabSize && typeof content === "string") continue;
    throw new CheckpointError("mismatch", {
      file,
      expected: `ids below ${vocabSize}, the rows of the embedding`,
      found: `id ${shown(id)} of token ${shown(content)}`,
    });
  }
  return contents;
}

/** A token of tokenizer_config.json is its text, or an object around it. */
function tokenText(token: unknown): string | undefined {
  if (typeof token === "string") return token;
  const content = (token as { content?: unknown } | null | undefined)?.content;
  return typeof content === "string" ? content : undefined;
}

/** A template stands in a file of its own, or in tokenizer_config.json: one text, or several under names. */
function readChatTemplate(folder: string, inConfig: unknown): string {
  const path = join(folder, "chat_template.jinja");
  if (existsSync(path)) return readFileSync(path, "utf8");
  const named = Array.isArray(inConfig) ? (inConfig as readonly ({ name?: unknown; template?: unknown } | null)[]) : [];
  const template = named.find((entry) => entry?.name === "default")?.template ?? inConfig;
  if (typeof template === "string") return template;
  throw new CheckpointError("missing", {
    file: join(folder, "tokenizer_config.json"),
    expected: "a chat_template",
    found: shown(inConfig),
    remedy: "use an instruction-tuned version of the model",
  });
}
