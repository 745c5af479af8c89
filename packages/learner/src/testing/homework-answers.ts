import { createRandom, type Message, mixSeed, type NextState, type TokenRecord } from "@afterstate/core";
import { loadHomework, nameMemory, type Question } from "../environments/homework/index.js";
import type { PolicyRuntime } from "../types.js";

/** The calculator, as a policy is told of it. */
export const CALCULATOR = [
  {
    name: "calculator",
    description: "Computes an arithmetic expression.",
    inputSchema: { type: "object", properties: { expression: { type: "string" } }, required: ["expression"] },
  },
];

/** One step of an answered question. */
export interface AnsweredStep {
  readonly kind: "tool" | "answer";
  readonly messages: readonly Message[];
  readonly response: string;
  readonly tokens: TokenRecord;
  readonly nextState: NextState;
}

/** A question that the policy answered, in one step or, with the calculator, in two. */
export interface AnsweredQuestion {
  readonly question: Question;
  readonly steps: readonly AnsweredStep[];
  /** Whether the last number of its answer is the right one. */
  readonly success: boolean;
}

/** Lets a policy answer questions of the homework domain; a call of the calculator returns the right result of the question. */
export function answerQuestions(policy: PolicyRuntime, count: number, seed: number): Promise<AnsweredQuestion[]> {
  const homework = loadHomework();
  const random = createRandom(seed);
  const questions = Array.from({ length: count }, () => homework.draw("train", random));
  return Promise.all(
    questions.map(async (question, index) => {
      const steps: AnsweredStep[] = [];
      let messages: readonly Message[] = [
        { role: "system", content: nameMemory("Nora") },
        { role: "user", content: `What is ${question.sum}?` },
      ];
      while (steps.length < 3) {
        const { message, tokens } = await policy
          .model()
          .generate(
            { messages, tools: CALCULATOR, seed: mixSeed(seed, index, steps.length) },
            { signal: new AbortController().signal },
          )
          .response();
        const [call] = message.toolCalls ?? [];
        const of = { messages, tokens: tokens! };
        if (call === undefined) {
          const closed: NextState = { kind: "closed", by: "call" };
          steps.push({ ...of, kind: "answer", response: message.content, nextState: closed });
          break;
        }
        const { id: callId, name: toolName, input } = call;
        const result = { callId, toolName, content: question.answer, isError: false, durationMs: 1 };
        const response = JSON.stringify({ name: toolName, input });
        steps.push({ ...of, kind: "tool", response, nextState: { kind: "tool", results: [result] } });
        messages = [...messages, message, { role: "tool", toolCallId: callId, toolName, content: question.answer }];
      }
      const stated = /-?\d+(?:\.\d+)?(?=\D*$)/.exec(steps.at(-1)!.response)?.[0];
      return { question, steps, success: stated !== undefined && Number(stated) === Number(question.answer) };
    }),
  );
}
