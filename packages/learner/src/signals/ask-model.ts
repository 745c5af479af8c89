import type { LanguageModel, NextState } from "@afterstate/core";
import type { JudgeRequest } from "../types.js";

/** One question to a model about a step; the text of its answer. Rejects when the model fails or the time is over. */
export async function askAboutStep(
  model: LanguageModel,
  instructions: string,
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
        { role: "system", content: instructions },
        { role: "user", content: describeStep(request) },
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

/** Request, response and next state of a step as a judge reads them, each between tags of its own. */
export function describeStep({ messages, response, nextState }: JudgeRequest): string {
  const context = messages.map(({ role, content }) => `${role}: ${content}`).join("\n");
  return `<request>\n${context}\n</request>\n<response>\n${response}\n</response>\n<next-state>\n${describeNextState(nextState)}\n</next-state>`;
}

function describeNextState(nextState: NextState): string {
  switch (nextState.kind) {
    case "user":
      return `The user replied: ${nextState.text}`;
    case "tool":
      return nextState.results
        .map(({ toolName, isError, content }) => `${toolName} ${isError ? "failed" : "returned"}: ${content}`)
        .join("\n");
    case "environment":
      return `The environment showed: ${nextState.observation}`;
    case "feedback":
      return `Feedback was given. ${nextState.correction ?? ""}`;
    case "closed":
      return "The session ended.";
  }
}
