import { type TokenRecord, type ToolDefinition, withGuidance } from "@afterstate/core";
import type { PolicyRuntime } from "../types.js";
import type { JudgedStep } from "./judged-episode.js";

/** A step as a teacher supervises it. */
export interface StepLesson {
  /** What was sampled, behind the prompt that the policy is to learn it for. */
  readonly tokens: TokenRecord;
  /** What the teacher sees. */
  readonly teacherPromptIds: readonly number[];
}

/**
 * The lesson of a step: the policy, seeing the context alone, is to say what the teacher says who sees `advice` besides. Guidance that the
 * step was sampled with is left out of the policy's prompt, so that its weights take in what the text says (context distillation,
 * arXiv:2209.15189); its log-probabilities stay those of the prompt with it.
 *
 * @param advice what the teacher hears: hints, and the guidance where there was some.
 * @returns undefined unless the prompt that was sampled from can be built again token by token.
 */
export function stepLesson(
  step: JudgedStep & { readonly tokens: TokenRecord },
  advice: string,
  {
    encodePrompt,
    tools: others,
  }: { readonly encodePrompt: PolicyRuntime["encodePrompt"]; readonly tools: readonly ToolDefinition[] },
): StepLesson | undefined {
  const { messages, guidance, tokens, tools = others } = step;
  const advised = withGuidance(messages, advice);
  if (advised === undefined) return undefined;
  const plain = encodePrompt(messages, tools);
  const guided = guidance === undefined ? undefined : withGuidance(messages, guidance);
  const seen = guided === undefined ? plain : encodePrompt(guided, tools);
  const { promptIds } = tokens;
  if (seen.length !== promptIds.length || seen.some((id, t) => id !== promptIds[t])) return undefined;
  return { tokens: { ...tokens, promptIds: plain }, teacherPromptIds: encodePrompt(advised, tools) };
}
