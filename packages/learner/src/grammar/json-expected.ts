import { firstShortest, type ObjectShape, type Shape } from "./json-shape.js";
import type { Expected } from "./recogniser.js";

/** Digits of a number before and after its point, and of its exponent: few enough that it stays finite and whole numbers exact. */
const DIGITS = 15;
const EXPONENT_DIGITS = 2;

/** A text as it stands. */
export function text(expected: string): Expected {
  return {
    key: JSON.stringify(expected),
    shortest: expected,
    next: (byte) => (byte !== expected[0] ? undefined : expected.length === 1 ? [] : [text(expected.slice(1))]),
  };
}

/** White space, as much as there is. */
export const space: Expected = {
  key: "_",
  shortest: "",
  next: (byte) => (byte === " " || byte === "\n" || byte === "\t" || byte === "\r" ? [space] : "past"),
};

/** One of several texts, each with what is expected after it. A text that begins another one has nothing after it. */
export interface Alternative {
  readonly text: string;
  readonly after: readonly Expected[];
}

/** The rest of one of several texts, from byte `at` on. */
export function oneOf(alternatives: readonly Alternative[], at = 0): Expected {
  return {
    key: `(${alternatives.map((one) => `${JSON.stringify(one.text.slice(at))}${one.after.map(({ key }) => key).join("")}`).join("|")})`,
    shortest: firstShortest(alternatives.map((one) => one.text.slice(at) + shortestOf(one.after))),
    next(byte) {
      const left = alternatives.filter((one) => one.text[at] === byte);
      if (left.length === 0) return alternatives.some((one) => one.text.length === at) ? "past" : undefined;
      return left.length === 1 && left[0]!.text.length === at + 1 ? left[0]!.after : [oneOf(left, at + 1)];
    },
  };
}

/** A JSON value of a shape, from its first byte on. */
export function value(shape: Shape): Expected {
  return {
    key: `v${shape.key}`,
    shortest: shape.shortest,
    next(byte) {
      const texts = shape.texts?.filter((one) => one[0] === byte) ?? [];
      if (texts.length > 0) return oneOf(texts.map((one) => ({ text: one, after: [] }))).next(byte);
      if (byte === '"' && shape.string) return [STRING];
      if (byte === "{" && shape.object) return [space, members(shape.object, [], "first")];
      if (byte === "[" && shape.array) return [space, list([value(shape.array)], "first")];
      return shape.number === undefined ? undefined : number("start", 0, shape.number === "integer").next(byte);
    },
  };
}

/** The inside of a string, to its closing quote. Bytes of UTF-8 are taken as they come. */
const STRING: Expected = {
  key: "s",
  shortest: '"',
  next(byte) {
    if (byte === '"') return [];
    if (byte === "\\") return [ESCAPE];
    return byte < " " ? undefined : [STRING];
  },
};
const ESCAPE: Expected = {
  key: "s\\",
  shortest: '""',
  next: (byte) => (byte === "u" ? [hexDigits(4)] : '"\\/bfnrt'.includes(byte) ? [STRING] : undefined),
};
function hexDigits(left: number): Expected {
  return {
    key: `s${left}`,
    shortest: `${"0".repeat(left)}"`,
    next: (byte) => (/[\da-fA-F]/.test(byte) ? [left === 1 ? STRING : hexDigits(left - 1)] : undefined),
  };
}

type NumberPart = "start" | "minus" | "zero" | "whole" | "point" | "fraction" | "e" | "sign" | "exponent";

/** The rest of a number. @param digits of the part so far. */
function number(part: NumberPart, digits: number, integer: boolean): Expected {
  const go = (next: NumberPart, count = 1) => [number(next, count, integer)];
  const complete = part === "zero" || part === "whole" || part === "fraction" || part === "exponent";
  return {
    key: `n${part}${digits}${integer ? "i" : ""}`,
    shortest: complete ? "" : "0",
    next(byte) {
      const digit = byte >= "0" && byte <= "9";
      if (part === "start" && byte === "-") return go("minus");
      if (digit && (part === "start" || part === "minus")) return go(byte === "0" ? "zero" : "whole");
      if (digit && part === "point") return go("fraction");
      if (digit && (part === "e" || part === "sign")) return go("exponent");
      if (part === "e" && (byte === "+" || byte === "-")) return go("sign");
      if (!complete) return undefined;
      if (digit && part !== "zero") {
        return digits < (part === "exponent" ? EXPONENT_DIGITS : DIGITS) ? go(part, digits + 1) : undefined;
      }
      if (!integer && byte === "." && (part === "zero" || part === "whole")) return go("point");
      if (!integer && (byte === "e" || byte === "E") && part !== "exponent") return go("e");
      return digit ? undefined : "past";
    },
  };
}

/** Elements of a list up to its closing bracket, after white space. @param element what each consists of; its first thing takes a byte. */
export function list(element: readonly Expected[], place: "first" | "next"): Expected {
  const rest = () => [space, list(element, "next")];
  return {
    key: `[${place}${element.map(({ key }) => key).join("")}`,
    shortest: "]",
    next(byte) {
      if (byte === "]") return [];
      if (place === "next") return byte === "," ? [space, ...element, ...rest()] : undefined;
      const first = element[0]!.next(byte);
      return first === undefined || first === "past" ? undefined : [...first, ...element.slice(1), ...rest()];
    },
  };
}

/** Members of an object up to its closing brace, after white space. @param used keys that it has, of those that are listed. */
function members(object: ObjectShape, used: readonly string[], place: "first" | "next" | "key"): Expected {
  const open = [...object.members.keys()].filter((key) => !used.includes(key));
  const missing = open.filter((key) => object.required.includes(key));
  const more = open.length > 0 || object.others !== undefined;
  return {
    key: `{${object.key}${place}${JSON.stringify(used)}`,
    shortest: shortestMembers(object, open, missing, place),
    next(byte) {
      if (byte === "}" && place !== "key") return missing.length === 0 ? [] : undefined;
      if (!more) return undefined;
      if (byte === "," && place === "next") return [space, members(object, used, "key")];
      if (byte !== '"' || place === "next") return undefined;
      return object.members.size > 0
        ? [key(object, used, "")]
        : [STRING, space, text(":"), space, value(object.others!), space, members(object, used, "next")];
    },
  };
}

function shortestMembers(
  object: ObjectShape,
  open: readonly string[],
  missing: readonly string[],
  place: "first" | "next" | "key",
): string {
  const listed = (key: string) => `"${key}":${object.members.get(key)!.shortest}`;
  if (place !== "key" || missing.length > 0) {
    return `${missing.map((key, index) => (index > 0 || place === "next" ? "," : "") + listed(key)).join("")}}`;
  }
  const others = object.others === undefined ? [] : [`"${unlisted(object, "")}":${object.others.shortest}`];
  return `${firstShortest([...open.map(listed), ...others])}}`;
}

/** What turns the beginning of a key into one that is not listed. */
function unlisted({ members }: ObjectShape, written: string): string {
  let end = "";
  while (members.has(written + end)) end += "0";
  return end;
}

/** A key to its closing quote, and its value. Keys that are not listed are written without escapes, so that none of the listed is hidden in one. */
function key(object: ObjectShape, used: readonly string[], written: string): Expected {
  const begun = [...object.members.keys()].filter((one) => !used.includes(one) && one.startsWith(written));
  const member = (shape: Shape, now: readonly string[]) => [
    space,
    text(":"),
    space,
    value(shape),
    space,
    members(object, now, "next"),
  ];
  const listed = (one: string) => member(object.members.get(one)!, [...used, one].sort());
  const { others } = object;
  return {
    key: `k${object.key}${JSON.stringify([...used, written])}`,
    get shortest() {
      const ways = begun.map((one) => `${one.slice(written.length)}"${shortestOf(listed(one))}`);
      if (others !== undefined) ways.push(`${unlisted(object, written)}"${shortestOf(member(others, used))}`);
      return firstShortest(ways);
    },
    next(byte) {
      const longer = written + byte;
      if (begun.some((one) => one.startsWith(longer))) return [key(object, used, longer)];
      if (byte === '"' && begun.includes(written)) return listed(written);
      if (others === undefined || byte === "\\" || byte < " ") return undefined;
      if (byte !== '"') return [key(object, used, longer)];
      return object.members.has(written) ? undefined : member(others, used);
    },
  };
}

function shortestOf(things: readonly Expected[]): string {
  return things.map(({ shortest }) => shortest).join("");
}
