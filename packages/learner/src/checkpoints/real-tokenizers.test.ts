import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { describe, expect, it } from "vitest";
import { MODEL_FILES } from "../testing/model-files.js";
import { fieldsOf } from "./fields.js";
import { readGgufHeader } from "./gguf-header.js";
import { readVocabulary, tokenizerJson } from "./gguf-tokenizer.js";
import { withSourceFile } from "./source-file.js";

const FOLDER = join(MODEL_FILES, "llama.cpp", "models");
const absent = !existsSync(FOLDER);
const EXACTLY = { skip_special_tokens: false, clean_up_tokenization_spaces: false };

/** llama.cpp keeps beside each tokenizer texts and the ids that the model's own tokenizer gives them. */
describe(`tokenizers rebuilt from GGUF${absent ? " (skipped: the files are absent; npm run models:test)" : ""}`, () => {
  it.skipIf(absent).each(["qwen2", "llama-bpe", "gpt-2", "llama-spm", "phi-3"])(
    "%s gives every reference text its ids",
    (name) => {
      const path = join(FOLDER, `ggml-vocab-${name}.gguf`);
      const { metadata } = withSourceFile(path, readGgufHeader);
      const json = tokenizerJson(path, fieldsOf(path, Object.fromEntries(metadata)), readVocabulary(path, metadata));
      const tokenizer = new Tokenizer(json, {});
      const texts = readFileSync(`${path}.inp`, "utf8").split("\n__ggml_vocab_test__\n");
      const expected = readFileSync(`${path}.out`, "utf8").split("\n");
      expect(texts.length).toBeGreaterThan(40);
      for (const [index, text] of texts.entries()) {
        const { ids } = tokenizer.encode(text, { add_special_tokens: false });
        expect(ids.join(" "), JSON.stringify(text)).toBe(expected[index]!.trim());
        if (ids.length > 0) expect(tokenizer.decode(ids, EXACTLY)).toBe(text.normalize("NFC"));
      }
    },
  );
});
