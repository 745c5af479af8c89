import type { StepRef } from "@afterstate/core";

const PREFIX = "chatcmpl-";

/** The id of a completion: its step, so that feedback finds it after a restart, too. */
export function completionId({ episodeId, stepIndex }: StepRef): string {
  return `${PREFIX}${Buffer.from(`${episodeId}#${stepIndex}`).toString("base64url")}`;
}

/** The step that a completion id names; undefined for what is none. */
export function stepOfCompletion(id: string): StepRef | undefined {
  if (!id.startsWith(PREFIX)) return undefined;
  const text = Buffer.from(id.slice(PREFIX.length), "base64url").toString();
  const [, episodeId, stepIndex] = /^(.+\/\d+)#(\d+)$/s.exec(text) ?? [];
  return episodeId === undefined ? undefined : { episodeId, stepIndex: Number(stepIndex) };
}
