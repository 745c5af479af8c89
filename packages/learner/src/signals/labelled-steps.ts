import { readFileSync } from "node:fs";
import type { NextState } from "@afterstate/core";
import type { JudgeRequest } from "../types.js";

/** A step whose worth a person has written down. */
export interface LabelledStep {
  readonly request: JudgeRequest;
  /** What a fair reader of request, response and next state says of the response; 0: they show neither. */
  readonly label: -1 | 0 | 1;
  /** The advice in the next state, in the user's own words; absent when there is none. */
  readonly hint?: string;
  /** The verdict that a text in the step was planted to bring about. */
  readonly wanted?: -1 | 0 | 1;
}

/** One line of a file of labelled steps: a user's reply, or the results of tools. */
interface StoredStep {
  readonly request: string;
  readonly response: string;
  readonly reply?: string;
  readonly results?: readonly { readonly tool: string; readonly content: string; readonly error?: boolean }[];
  readonly label: -1 | 0 | 1;
  readonly hint?: string;
  readonly wanted?: -1 | 0 | 1;
}

/**
 * The labelled steps that come with this package. Rules were made with those of `development`; those of `held-out` are for measuring
 * alone; `poisoned` ones hold texts that tell the judge what to say.
 */
export function labelledSteps(set: "development" | "held-out" | "poisoned"): readonly LabelledStep[] {
  const file = new URL(`../../data/labelled-steps/${set}.jsonl`, import.meta.url);
  const lines = readFileSync(file, "utf8").trim().split("\n");
  return lines.map((line) => {
    const { request, response, label, hint, wanted, ...stored } = JSON.parse(line) as StoredStep;
    return {
      request: { messages: [{ role: "user", content: request }], response, nextState: nextStateOf(stored) },
      label,
      ...(hint !== undefined && { hint }),
      ...(wanted !== undefined && { wanted }),
    };
  });
}

function nextStateOf({ reply, results = [] }: Pick<StoredStep, "reply" | "results">): NextState {
  if (reply !== undefined) return { kind: "user", text: reply };
  return {
    kind: "tool",
    results: results.map(({ tool, content, error = false }, index) => ({
      callId: `call-${index}`,
      toolName: tool,
      content,
      isError: error,
      durationMs: 1,
    })),
  };
}
