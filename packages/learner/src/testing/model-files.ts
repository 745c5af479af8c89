import { fileURLToPath } from "node:url";

/** Where `npm run models:test` keeps large files that tests need: models, tokenizers, templates. Tests that find them absent say so and are skipped. */
export const MODEL_FILES = fileURLToPath(new URL("../../../../.afterstate/models", import.meta.url));
