import type { LanguageModel } from "@afterstate/core";
import type { JudgeRequest } from "../types.js";
import { describeStep } from "./describe-step.js";

/** What a model is told before and after the step: what stands last is what a model follows, so it must not be the step. */
export interface Questioning {
  readonly before: string;
  readonly after: string;
}

/** One question to a model about a step; the text of its answer. Rejects when the model fails or the time is over. */
export async function askAboutStep(
  model: LanguageModel,
  { before, after }: Questioning,
  request: JudgeRequest,
  options: {
    readonly seed: number;
    readonly temperature: number;
    readonly maxTokens: number;
    readonly timeoutMs: number;
  },
): Promise<string> {
  const { seed, temperature, maxTokens, timeoutMs } = options;
  const stream = model.generate(
    {
      messages: [
        { role: "system", content: before },
        { role: "user", content: `${describeStep(request)}\n\n${after}` },
      ],
      tools: [],
      seed,
      temperature,
      maxTokens,
    },
    { signal: AbortSignal.timeout(timeoutMs) },
  );
  return (await stream.response()).message.content;
}
