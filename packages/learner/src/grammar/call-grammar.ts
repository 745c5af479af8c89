import type { ToolDefinition } from "@afterstate/core";
import { list, oneOf, space, text, value } from "./json-expected.js";
import { shapeOf } from "./json-shape.js";
import { COMPLETE, type Expected, expecting, type State, step } from "./recogniser.js";
import { bytesOf } from "./token-bytes.js";

/** A place in a response: in plain text, or in a call. Never changes. */
export interface Place {
  /** What the call expects; undefined in plain text. */
  readonly call?: State;
  /** As much of the end of the text as might become the tag that matters here: in plain text the one that begins a call, in a call the one that may not stand in it. */
  readonly begun: string;
  /** Whether the response has been nothing but white space. */
  readonly blank: boolean;
}

/** Where calls begin, and what they consist of then. */
export interface CallGrammar {
  /** A call begins after it. */
  readonly tag: string;
  /** A call also begins with a brace at the start of the response. */
  readonly atStart: boolean;
  readonly call: readonly Expected[];
  /** What no string of a call may hold: who reads the response would take it for the tag. */
  readonly never: string;
}

/** The start of a response. */
export const START: Place = { begun: "", blank: true };

/** How the tools are called in a format of `tool-call-format.ts`: JSON that names one of them and has the shape of its input, see `shapeOf`. */
export function callGrammar(format: "hermes" | "llama3" | "smollm2", tools: readonly ToolDefinition[]): CallGrammar {
  const keys = format === "llama3" ? ['"parameters"', '"arguments"'] : ['"arguments"'];
  const call = [
    text("{"),
    space,
    text('"name"'),
    space,
    text(":"),
    space,
    oneOf(
      tools.map(({ name, inputSchema }) => ({
        text: bytesOf(JSON.stringify(name)),
        after: [
          space,
          text(","),
          space,
          oneOf(
            keys.map((one) => ({
              text: one,
              after: [space, text(":"), space, value(shapeOf(inputSchema)), space, text("}")],
            })),
          ),
        ],
      })),
    ),
  ];
  if (format === "llama3") {
    const tag = "<|python_tag|>";
    return { tag, atStart: true, call: [space, ...call, again(call)], never: tag };
  }
  const body = format === "smollm2" ? [text("["), space, list(call, "first")] : call;
  const close = "</tool_call>";
  return { tag: "<tool_call>", atStart: false, call: [space, ...body, space, text(close)], never: close };
}

/** The end, or another call, a semicolon between. */
function again(call: readonly Expected[]): Expected {
  const end: Expected = {
    key: `;${call.map(({ key }) => key).join("")}`,
    shortest: "",
    next: (byte) => (byte === ";" ? [space, ...call, end] : space.next(byte) === "past" ? undefined : [end]),
  };
  return end;
}

/** The place after some bytes; undefined where the grammar refuses one. */
export function advance(grammar: CallGrammar, place: Place, bytes: string): Place | undefined {
  let now: Place | undefined = place;
  for (let i = 0; i < bytes.length && now !== undefined; i++) now = advanceByte(grammar, now, bytes[i]!);
  return now;
}

function advanceByte(grammar: CallGrammar, place: Place, byte: string): Place | undefined {
  const { tag, atStart, call, never } = grammar;
  if (place.call !== undefined) {
    const next = step(place.call, byte);
    if (next === COMPLETE) return { begun: "", blank: false };
    const begun = partOf(never, place.begun + byte);
    if (next === undefined || begun === never) return undefined;
    return next === place.call && begun === place.begun ? place : { call: next, begun, blank: false };
  }
  if (atStart && place.blank && byte === "{") return advanceByte(grammar, inCall(call), byte);
  const begun = partOf(tag, place.begun + byte);
  if (begun === tag) return inCall(call);
  const blank = place.blank && space.next(byte) !== "past";
  return begun === place.begun && blank === place.blank ? place : { begun, blank };
}

/** The longest end of a text that begins a tag. */
function partOf(tag: string, text: string): string {
  let part = text;
  while (!tag.startsWith(part)) part = part.slice(1);
  return part;
}

function inCall(call: readonly Expected[]): Place {
  return { call: expecting(call), begun: "", blank: false };
}
