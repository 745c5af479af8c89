import { readFileSync } from "node:fs";
import { createRandom, mixSeed, type Random } from "@afterstate/core";

/** One homework question with its exact answer. */
export interface Question {
  readonly kind: "expression" | "modular-power" | "number-game";
  /** The sum as a person would type it: `48/2`, `3^17 mod 41`, `4 7 8 8` (make 24 from these). */
  readonly sum: string;
  /** The exact result: a decimal without trailing zeros. */
  readonly answer: string;
}

/** Which part of the domain a question belongs to. No question is in two. */
export type Split = "train" | "gate" | "held-out";

/** The questions of the homework domain. */
export interface Homework {
  /** Calculator expressions of the GSM8K solutions, each once. Held out: those of its test set that its training set lacks. */
  readonly expressions: Readonly<Record<Split, readonly Question[]>>;
  /** A question of a split: an expression, or (three times in ten) a modular power. */
  draw(split: Split, random: Random): Question;
  /** `count` different questions of a split. @throws RangeError if the split has fewer. */
  drawDistinct(split: Split, count: number, seed: number): readonly Question[];
}

const DATA = new URL("../../../data/homework/gsm8k-expressions.jsonl", import.meta.url);
const MODULAR_SHARE = 0.3;

/** Reads the domain's questions. The file is part of the package. */
export function loadHomework(file: URL = DATA): Homework {
  const expressions: Record<Split, Question[]> = { train: [], gate: [], "held-out": [] };
  for (const line of readFileSync(file, "utf8").split("\n")) {
    if (line === "") continue;
    const { split, expression, answer } = JSON.parse(line) as { split: string; expression: string; answer: string };
    const part: Split = split === "test" ? "held-out" : mixSeed("gate", expression) % 20 === 0 ? "gate" : "train";
    expressions[part].push({ kind: "expression", sum: expression, answer });
  }
  const draw = (split: Split, random: Random): Question =>
    random.next() < MODULAR_SHARE ? drawModularPower(split, random) : random.pick(expressions[split]);
  return {
    expressions,
    draw,
    drawDistinct(split, count, seed) {
      const random = createRandom(mixSeed(seed, "distinct", split));
      const drawn = new Map<string, Question>();
      for (let tries = 0; drawn.size < count; tries++) {
        if (tries > 100 * count)
          throw new RangeError(`the split "${split}" has fewer than ${count} different questions`);
        const question = draw(split, random);
        drawn.set(question.sum, question);
      }
      return [...drawn.values()];
    },
  };
}

/** The split is a function of the numbers, so that a power asked in training is never asked in the end. */
function drawModularPower(split: Split, random: Random): Question {
  for (;;) {
    const [base, exponent, modulus] = [2 + random.integer(18), 2 + random.integer(18), 3 + random.integer(57)];
    const part = mixSeed("modular-power", base, exponent, modulus) % 20;
    const belongs: Split = part < 4 ? "held-out" : part === 4 ? "gate" : "train";
    if (belongs === split) {
      return {
        kind: "modular-power",
        sum: `${base}^${exponent} mod ${modulus}`,
        answer: String(modularPower(base, exponent, modulus)),
      };
    }
  }
}

/** base^exponent mod modulus by repeated squaring; the modulus is small. */
export function modularPower(base: number, exponent: number, modulus: number): number {
  let result = 1 % modulus;
  let square = base % modulus;
  for (let left = exponent; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}
