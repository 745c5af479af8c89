import { bytesOf } from "./token-bytes.js";

/** What a JSON value may look like; kinds that are absent are not allowed. Texts are bytes, see `bytesOf`. */
export interface Shape {
  readonly string?: true;
  readonly number?: "any" | "integer";
  /** Values that are allowed as they stand, e.g. `true`, `"red"`. */
  readonly texts?: readonly string[];
  readonly object?: ObjectShape;
  /** Of each element. */
  readonly array?: Shape;
  /** Equal for equal shapes. */
  readonly key: string;
  /** The first of the shortest values. */
  readonly shortest: string;
}

/** Members of an object, by what stands between the quotes of their keys. */
export interface ObjectShape {
  readonly members: ReadonlyMap<string, Shape>;
  readonly required: readonly string[];
  /** Of members that are not listed; undefined where there may be none. */
  readonly others?: Shape;
  readonly key: string;
}

/** Keywords that a shape cannot hold: where one stands, any value is allowed. */
const BEYOND = ["$ref", "$dynamicRef", "allOf", "not", "if", "prefixItems", "patternProperties", "propertyNames"];

type Kinds = Omit<Shape, "key" | "shortest">;
const shape = (key: string, kinds: Kinds): Shape => ({ ...kinds, key, shortest: shortest(kinds) });
const literals = (texts: readonly string[]): Shape => shape(JSON.stringify(texts), { texts });

const LITERALS: Readonly<Record<string, readonly string[]>> = { boolean: ["true", "false"], null: ["null"] };

/** Any JSON value; its own members and elements are any, too. */
const ANY: Shape = (() => {
  const any: { -readonly [Key in keyof Shape]: Shape[Key] } = {
    string: true,
    number: "any",
    texts: ["true", "false", "null"],
    key: "any",
    shortest: "0",
  };
  any.array = any;
  any.object = { members: new Map(), required: [], others: any, key: "any" };
  return any;
})();

/**
 * The shape of a JSON Schema (draft 2020-12): types and unions of them, enum, const, properties, required, additionalProperties, items, and
 * anyOf or oneOf whose alternatives are of different types. Where other ways to combine schemas stand, any JSON value is allowed;
 * bounds on lengths, numbers and counts, patterns and formats are not enforced. What a tool gets is validated by the loop in any case.
 */
export function shapeOf(schema: unknown): Shape {
  if (typeof schema !== "object" || schema === null || BEYOND.some((keyword) => keyword in schema)) return ANY;
  const { type, anyOf, oneOf, properties, required, items, ...rest } = schema as Readonly<Record<string, unknown>>;
  if ("const" in rest) return literals([written(rest.const)]);
  if (Array.isArray(rest.enum)) return literals(rest.enum.map(written));
  const alternatives = anyOf ?? oneOf;
  if (Array.isArray(alternatives)) return alternatives.map(shapeOf).reduce(either);
  const types = [type ?? (properties !== undefined ? "object" : items !== undefined ? "array" : [])].flat();
  if (types.length === 0) return ANY;
  return types
    .map((one): Shape => {
      if (one === "string") return shape("string", { string: true });
      if (one === "number") return shape("number", { number: "any" });
      if (one === "integer") return shape("integer", { number: "integer" });
      if (one === "object") {
        const object = objectOf(properties, required, rest.additionalProperties);
        return shape(object.key, { object });
      }
      if (one === "array") {
        const array = shapeOf(items);
        return shape(`[${array.key}]`, { array });
      }
      const texts = LITERALS[String(one)];
      return texts === undefined ? ANY : literals(texts);
    })
    .reduce(either);
}

/** One shape or the other; any value where a first byte would not tell which. */
function either(a: Shape, b: Shape): Shape {
  const kinds = (one: Shape) => [
    ...(["string", "number", "object", "array"] as const).filter((kind) => one[kind] !== undefined),
    ...new Set(one.texts?.map((text) => kindOf(text)) ?? []),
  ];
  const alike = kinds(a).filter((kind) => kinds(b).includes(kind) && kind !== "literal");
  if (alike.length > 0) return ANY;
  const { key: _, shortest: __, ...kindsOfA } = a;
  const { key: ___, shortest: ____, ...kindsOfB } = b;
  const texts = [...(a.texts ?? []), ...(b.texts ?? [])];
  return shape(`${a.key}|${b.key}`, { ...kindsOfA, ...kindsOfB, ...(texts.length > 0 && { texts }) });
}

function kindOf(text: string): "string" | "number" | "object" | "array" | "literal" {
  if (text[0] === '"') return "string";
  if (text[0] === "{") return "object";
  if (text[0] === "[") return "array";
  return /[-\d]/.test(text[0]!) ? "number" : "literal";
}

function objectOf(properties: unknown, required: unknown, additional: unknown): ObjectShape {
  const others = additional === false ? undefined : additional === undefined ? ANY : shapeOf(additional);
  const listed = Object.entries((properties ?? {}) as Readonly<Record<string, unknown>>);
  const needed = Array.isArray(required) ? (required as readonly string[]) : [];
  const members = new Map(listed.flatMap(([key, value]) => (value === false ? [] : [[keyOf(key), shapeOf(value)]])));
  for (const key of needed) if (!members.has(keyOf(key))) members.set(keyOf(key), others ?? ANY);
  const key = JSON.stringify([[...members].map(([name, member]) => [name, member.key]), needed, others?.key]);
  return { members, required: needed.map(keyOf), ...(others !== undefined && { others }), key };
}

/** A value as bytes of JSON. */
function written(value: unknown): string {
  return bytesOf(JSON.stringify(value));
}

/** What stands between the quotes of a key. */
function keyOf(key: string): string {
  return written(key).slice(1, -1);
}

function shortest({ string, number, texts = [], object, array }: Kinds): string {
  const needed = [...(object?.members ?? [])].filter(([key]) => object!.required.includes(key));
  return firstShortest([
    ...(string ? ['""'] : []),
    ...(number ? ["0"] : []),
    ...texts,
    ...(object ? [`{${needed.map(([key, member]) => `"${key}":${member.shortest}`).join()}}`] : []),
    ...(array ? ["[]"] : []),
  ]);
}

/** The first of the shortest texts. */
export function firstShortest(texts: readonly string[]): string {
  return texts.reduce((best, text) => (text.length < best.length ? text : best));
}
