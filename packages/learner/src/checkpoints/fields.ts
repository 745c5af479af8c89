import { CheckpointError } from "./checkpoint-error.js";

/** Reads fields off a record of a file, and refuses what is not of the asked type. Absent and null are the same. */
export interface Fields {
  has(key: string): boolean;
  value(key: string): unknown;
  /** A whole number from 1 to `max`. Required where no `fallback` is given. */
  size(key: string, options?: { readonly fallback?: number; readonly max?: number }): number;
  /** A finite number above 0. Required where no `fallback` is given. */
  positive(key: string, fallback?: number): number;
  flag(key: string, fallback: boolean): boolean;
  text(key: string): string | undefined;
  /** @throws CheckpointError `checkpoint/unsupported` unless the field is absent or one of `accepted`. */
  only(key: string, accepted: readonly unknown[]): void;
}

/** No size of a model that is read is larger. */
const MAX_SIZE = 2 ** 31;

/** Fields of `record`, which stands in `file`; `prefix` is what errors put before a key. */
export function fieldsOf(file: string, record: Readonly<Record<string, unknown>>, prefix = ""): Fields {
  const value = (key: string): unknown => (Object.hasOwn(record, key) ? record[key] : undefined) ?? undefined;
  const wrong = (key: string, expected: string) => {
    const found = value(key) === undefined ? "nothing" : shown(value(key));
    return new CheckpointError("corrupt", { file, field: prefix + key, expected, found });
  };
  const fields: Fields = {
    has: (key) => value(key) !== undefined,
    value,
    size(key, { fallback, max = MAX_SIZE } = {}) {
      const size = value(key) ?? fallback;
      if (typeof size === "number" && Number.isInteger(size) && size >= 1 && size <= max) return size;
      throw wrong(key, `a whole number from 1 to ${max}`);
    },
    positive(key, fallback) {
      const number = value(key) ?? fallback;
      if (typeof number === "number" && Number.isFinite(number) && number > 0) return number;
      throw wrong(key, "a number above 0");
    },
    flag(key, fallback) {
      const flag = value(key) ?? fallback;
      if (typeof flag === "boolean") return flag;
      throw wrong(key, "true or false");
    },
    text(key) {
      const text = value(key);
      if (text === undefined || typeof text === "string") return text;
      throw wrong(key, "a text");
    },
    only(key, accepted) {
      const found = value(key);
      if (found === undefined || accepted.includes(found)) return;
      throw new CheckpointError("unsupported", {
        file,
        field: prefix + key,
        expected: accepted.length === 0 ? "nothing" : accepted.map(shown).join(" or "),
        found: shown(found),
      });
    },
  };
  return fields;
}

/** A value as an error shows it. */
export function shown(value: unknown): string {
  const text = typeof value === "bigint" ? `${value}` : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 80)} …` : text;
}
