import { AgentError, jsonSchema } from "@afterstate/core";
import type { JudgeRequest, StepJudge, Verifier } from "../types.js";

/**
 * Checks a response against the answer that is known for its request: +1 when it states it, −1 when not. Numbers are compared as
 * numbers with the last one that the response states, words without regard to case and punctuation anywhere in it.
 *
 * @param expected the right answer to a request; undefined where it is not known.
 */
export function exactAnswer(expected: (request: JudgeRequest) => string | number | undefined): Verifier {
  return {
    name: "exact-answer",
    verify(request) {
      const answer = expected(request);
      if (answer === undefined || request.kind === "tool") return undefined;
      if (typeof answer === "number") {
        const stated = request.response.match(/-?\d[\d,]*(?:\.\d+)?(?=[^\d]*$)/)?.[0];
        return stated !== undefined && Number(stated.replaceAll(",", "")) === answer ? 1 : -1;
      }
      return ` ${plain(request.response)} `.includes(` ${plain(answer)} `) ? 1 : -1;
    },
  };
}

/**
 * Checks the form of a response: +1 is not given for it, since a well-formed response may be wrong; −1 for one that does not match.
 *
 * @param form a regular expression without the flags g and y, or the JSON Schema of a response that is JSON.
 */
export function responseForm(form: RegExp | Readonly<Record<string, unknown>>): Verifier {
  if (form instanceof RegExp && /[gy]/.test(form.flags))
    throw new AgentError("verifier/bad-form", `the form ${form} remembers where it matched last; leave out g and y`);
  const schema = form instanceof RegExp ? undefined : jsonSchema(form);
  return {
    name: "response-form",
    async verify({ response, kind }) {
      if (kind === "tool") return undefined;
      if (form instanceof RegExp) return form.test(response) ? undefined : -1;
      try {
        const { issues } = await schema!["~standard"].validate(JSON.parse(response));
        return issues === undefined ? undefined : -1;
      } catch {
        return -1;
      }
    },
  };
}

/** A judge whose verdict gives way to what verifiers say: the mean of those that say anything, by its sign. */
export function withVerifiers(verifiers: readonly Verifier[], judge: StepJudge): StepJudge {
  return {
    name: [...verifiers.map(({ name }) => name), judge.name].join("+"),
    reliability: judge.reliability,
    async judge(request) {
      const said = await Promise.all(verifiers.map(async (verifier) => verifier.verify(request)));
      const values = said.filter((value) => value !== undefined);
      if (values.length === 0) return judge.judge(request);
      const value = Math.sign(values.reduce((sum, one) => sum + one, 0)) as -1 | 0 | 1;
      return { value, votes: values, confidence: 1 };
    },
  };
}

function plain(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim();
}
