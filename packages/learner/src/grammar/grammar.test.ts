import { createRandom, jsonSchema, type ToolDefinition } from "@afterstate/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toolCallFormatOf } from "../policy/tool-call-format.js";
import { rowOf, sampleToken } from "../tensor/sample-token.js";
import { advance, callGrammar, START } from "./call-grammar.js";
import { value } from "./json-expected.js";
import { shapeOf } from "./json-shape.js";
import { expecting, type State, step } from "./recogniser.js";
import { bytesOf, tokenBytes } from "./token-bytes.js";
import { tokenTrie } from "./token-trie.js";
import { toolCallConstraints } from "./tool-call-constraint.js";

/** Whether a text is a whole value of a schema, as the grammar sees it. */
const accepts = (schema: unknown, text: string): boolean => {
  let state: State | undefined = expecting([value(shapeOf(schema))]);
  for (const byte of bytesOf(text)) state = state && step(state, byte);
  return state?.shortest === "";
};
const isValid = (schema: object, input: unknown): boolean => {
  const result = jsonSchema(schema as Record<string, unknown>)["~standard"].validate(input);
  return !(result instanceof Promise) && result.issues === undefined;
};

/** Schemas of what the grammar covers, to some depth. */
const schemas = fc.letrec<{ schema: object; object: object }>((tie) => {
  const names = fc.constantFrom("a", "ab", "b", "name", "é", 'q"', "");
  const object = fc
    .record({
      members: fc.dictionary(names, tie("schema"), { maxKeys: 3, noNullPrototype: true }),
      others: fc.constantFrom<unknown>(undefined, true, false, { type: "integer" }),
      optional: fc.nat(3),
    })
    .map(({ members, others, optional }) => ({
      type: "object",
      properties: members,
      required: Object.keys(members).slice(optional),
      ...(others !== undefined && { additionalProperties: others }),
    }));
  return {
    object,
    schema: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      fc.constantFrom<object>({ type: "string" }, { type: "integer" }, { type: "number" }, { type: "boolean" }),
      fc.constantFrom<object>({ type: "null" }, {}, { type: ["string", "null"] }, { const: "é\n" }),
      fc.constantFrom<object>({ enum: ["red", "re", 1, 12, -3.5, null, true] }, { enum: [{ a: [1, 2] }, "x"] }),
      fc.constant({ anyOf: [{ type: "integer" }, { type: "null" }, { enum: ["on", "off"] }] }),
      tie("schema").map((items) => ({ type: "array", items })),
      object,
    ),
  };
});

/** Single bytes, and tokens that go over the borders of what JSON consists of. */
const PIECES = [
  ...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)),
  ...[
    "\n",
    "\xc3",
    "\xa9",
    "<tool_call>",
    "</tool_call>",
    '{"name": "',
    '", "arguments": {',
    '"}}',
    "}}",
    '": ',
    ', "',
  ],
  ...['\\"', "\\u00", "true", "null", "12", ".5", "e1", "ab", '["', '"]', "</", "]", " {", "<|python_tag|>", "}</tool"],
];
const STOP = PIECES.length;
const tokens = new Map(PIECES.map((piece, id) => [id, piece]));
const vocabulary = { bytes: tokens, size: STOP + 2, stopIds: new Set([STOP]) }; // the last id has no name
const idOf = (piece: string) => PIECES.indexOf(piece);
const textOf = (ids: readonly number[]) =>
  Buffer.from(ids.map((id) => PIECES[id] ?? "").join(""), "latin1").toString("utf8");
const tool = (name: string, inputSchema: object): ToolDefinition => ({
  name,
  description: "",
  inputSchema: inputSchema as Record<string, unknown>,
});

const FORMATS = [
  [toolCallFormatOf("<tool_call>"), "<tool_call>"],
  [toolCallFormatOf("<|python_tag|>"), "<|python_tag|>"],
  [toolCallFormatOf(""), "<tool_call>"],
] as const;

describe("a grammar of tool calls", () => {
  it("turns what any policy begins into a call that validation accepts, within the tokens there are", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...FORMATS),
        schemas.object,
        schemas.object,
        fc.nat(),
        fc.integer({ min: 0, max: 150 }),
        fc.boolean(),
        ([format, tag], first, second, seed, spare, greedy) => {
          const tools = [tool("find", first), tool("find-2", second)];
          const grammar = callGrammar(format.name, tools);
          const { shortest } = advance(grammar, START, tag)!.call!;
          const room = 1 + tokenTrie(tokens).count(shortest) + spare;
          const constraint = toolCallConstraints(format.name, vocabulary).constrain(tools, room);
          expect(constraint.allows(idOf(tag))).toBe(true);
          constraint.accept(idOf(tag));
          const row = rowOf({
            promptIds: [],
            seed,
            temperature: greedy ? 0 : 1,
            maxTokens: room - 1,
            stopIds: vocabulary.stopIds,
            constraint,
          });
          // Uniform, or (greedy) a policy of fixed likings.
          const random = createRandom(seed);
          const scores = Float32Array.from({ length: vocabulary.size }, () => (greedy ? random.next() : 0));
          while (row.stoppedBy === undefined) sampleToken(row, scores, 1e9);
          const text = `${tag}${textOf(row.ids)}`;
          const { toolCalls = [] } = format.parse(text, String);
          if (format.name !== "smollm2") expect(toolCalls.length, text).toBeGreaterThan(0);
          for (const { name, input, invalidInput } of toolCalls) {
            expect(invalidInput, text).toBeUndefined();
            const called = tools.find((one) => one.name === name);
            expect(called, text).toBeDefined();
            expect(isValid(called!.inputSchema, input), `${text} ${JSON.stringify(called)}`).toBe(true);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it("accepts every value of a schema that JSON.stringify writes", () => {
    fc.assert(
      fc.property(schemas.schema, fc.jsonValue({ depthSize: "small" }), fc.nat(4), (schema, input, spaces) => {
        const text = JSON.stringify(input);
        if (text.includes("valueOf") || !isValid(schema, input)) return; // ajv compares by valueOf
        // More digits than the grammar writes, and keys with escapes, which it leaves to objects of any keys.
        if (/e[+-]|\d{16}/.test(text) || /"[^"\\]*\\.(\\.|[^"\\])*":/.test(text)) return;
        expect(accepts(schema, JSON.stringify(input, undefined, spaces))).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it("knows the shortest text that completes what was begun", () => {
    const schema = {
      type: "object",
      properties: { on: { type: "boolean" }, n: { type: "integer" } },
      required: ["on"],
    };
    const shortestAfter = (text: string) => {
      let state: State | undefined = expecting([value(shapeOf(schema))]);
      for (const byte of text) state = state && step(state, byte);
      return state?.shortest;
    };
    expect(shortestAfter("")).toBe('{"on":true}');
    expect(shortestAfter('{"o')).toBe('n":true}');
    expect(shortestAfter('{"n": 1')).toBe(',"on":true}');
    expect(shortestAfter('{"on": f')).toBe("alse}");
    expect(shortestAfter('{"on": true, "x": {"y": ["\\u0')).toBe('000"]}}');
    expect(shortestAfter('{"on": true}')).toBe("");
    for (const wrong of ['{"on": 1', '{"n": 1}', '{"n": 1.5', '{"on": true, }', '{"on": true, "on"', '{"n": 01']) {
      expect(shortestAfter(wrong), wrong).toBeUndefined();
    }
  });

  it("allows any value where a schema is beyond it, or alternatives are alike", () => {
    for (const schema of [{ $ref: "#/x" }, { anyOf: [{ type: "object" }, { type: "object" }] }, { allOf: [] }, true]) {
      expect(accepts(schema, '{"a": [1, {"b": null}]}')).toBe(true);
    }
    expect(accepts({ anyOf: [{ type: "string" }, { type: "null" }] }, "1")).toBe(false);
  });

  it("leaves text alone, and refuses no token of it", () => {
    const tools = [tool("find", { type: "object" })];
    for (const [{ name }] of FORMATS) {
      const constraint = toolCallConstraints(name, vocabulary).constrain(tools, 1000);
      for (const piece of ["a", " {", '{"name": "', "<", "t", "o", "</tool_call>", "\xc3", "12"]) {
        expect(constraint.allows(idOf(piece)), piece).toBe(true);
        constraint.accept(idOf(piece));
      }
      expect(constraint.allows(STOP)).toBe(true);
      expect(constraint.allows(STOP + 1)).toBe(true);
    }
  });

  it("says the same of a token by itself and among all tokens, in text and in calls", () => {
    const tools = [tool("find", { type: "object", properties: { 'q"': { type: "number" } } })];
    for (const [{ name }, tag] of FORMATS) {
      for (const written of ["", "a<", "<", tag, `${tag}{`, `${tag} {"name": "fi`, `${tag}{"name":"find",`]) {
        for (const room of [written.length + 20, 1000]) {
          const constraint = toolCallConstraints(name, vocabulary).constrain(tools, room);
          const ids = written.startsWith(tag)
            ? [idOf(tag), ...Array.from(written.slice(tag.length), idOf)]
            : Array.from(written, idOf);
          for (const id of ids) constraint.accept(id);
          const each = Array.from({ length: vocabulary.size }, (_, id) => Number(constraint.allows(id)));
          if (each.includes(1)) expect([...constraint.allowed()], `${name} ${written}`).toEqual(each);
        }
      }
    }
  });

  it("begins no call that the tokens left cannot hold, and frees a response whose vocabulary cannot spell one", () => {
    const tools = [tool("find", { type: "object" })];
    const tight = toolCallConstraints("hermes", vocabulary).constrain(tools, 10);
    expect(tight.allows(idOf("<tool_call>"))).toBe(false);
    const poor = { ...vocabulary, bytes: new Map([...tokens].filter(([, piece]) => !piece.includes("{"))) };
    const constraint = toolCallConstraints("hermes", poor).constrain(tools, 1000);
    constraint.accept(idOf("<tool_call>"));
    expect(constraint.allows(idOf("a"))).toBe(false);
    constraint.accept(idOf("a"));
    expect(constraint.allows(idOf("a"))).toBe(true);
  });
});

describe("the bytes of tokens", () => {
  it("are read off byte-level and SentencePiece vocabularies", () => {
    const vocab = new Map([
      ["Ġhi", 0],
      ["Ã", 1],
      ["Ċ", 2],
      ["<|é|>", 3],
    ]);
    expect([...tokenBytes({ decoder: { type: "ByteLevel" } }, vocab, new Set([3])).values()]).toEqual([
      " hi",
      "\xc3",
      "\n",
      "<|\xc3\xa9|>",
    ]);
    const pieces = new Map([
      ["▁hi", 0],
      ["<0x0A>", 1],
      ["é", 2],
    ]);
    expect([...tokenBytes({ decoder: { type: "Sequence" } }, pieces, new Set()).values()]).toEqual([
      " hi",
      "\n",
      "\xc3\xa9",
    ]);
  });
});
