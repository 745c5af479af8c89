import type { Signal } from "@afterstate/core";
import type { HintReader, JudgeRequest, StepJudge, Verifier } from "../types.js";
import { asSentence, boundedHint } from "./rule-hint-reader.js";

/**
 * The reward that a next state gives: an explicit score by its sign and an environment's reward as given, both with
 * reliability 1; user replies and tool results as the judge sees them. Undefined when there is nothing to go by.
 */
export async function readReward(judge: StepJudge, request: JudgeRequest): Promise<Signal | undefined> {
  const { nextState } = request;
  switch (nextState.kind) {
    case "closed":
      return undefined;
    case "environment":
      return given("verifier:environment", nextState.reward);
    case "feedback":
      return given("feedback", nextState.score === undefined ? undefined : Math.sign(nextState.score));
    case "user":
    case "tool": {
      const { value, votes } = await judge.judge(request);
      if (value === undefined) return undefined;
      return { kind: "reward", source: judge.name, value, votes, reliability: judge.reliability };
    }
  }
}

/** What a head guesses of a step before anybody reacts to it. Undefined when it abstains. */
export async function readGuess(head: StepJudge, request: JudgeRequest): Promise<Signal | undefined> {
  const { value, votes } = await head.judge(request);
  return value === undefined
    ? undefined
    : { kind: "reward", source: head.name, value, votes, reliability: head.reliability };
}

/** What a verifier says of a step, with reliability 1. Undefined when that is nothing. */
export async function readVerdict(verifier: Verifier, request: JudgeRequest): Promise<Signal | undefined> {
  return given(`verifier:${verifier.name}`, await verifier.verify(request));
}

/** The advice that a next state gives: what the reader finds in a user's reply, or the correction of an explicit feedback. */
export async function readHint(reader: HintReader | undefined, request: JudgeRequest): Promise<Signal | undefined> {
  const { nextState } = request;
  if (nextState.kind === "feedback") {
    const text = boundedHint([asSentence(nextState.correction ?? "")]);
    return text === undefined ? undefined : { kind: "hint", source: "feedback", text, reliability: 1 };
  }
  if (nextState.kind !== "user" || reader === undefined) return undefined;
  const text = await reader.read(request);
  return text === undefined ? undefined : { kind: "hint", source: reader.name, text, reliability: reader.reliability };
}

function given(source: string, value: number | undefined): Signal | undefined {
  if (value === undefined || !Number.isFinite(value)) return undefined;
  return { kind: "reward", source, value, reliability: 1 };
}
