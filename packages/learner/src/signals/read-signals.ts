import type { Signal } from "@afterstate/core";
import type { HintReader, JudgeRequest, StepJudge } from "../types.js";
import { asSentence, boundedHint } from "./rule-hint-reader.js";

/**
 * The signals that one next state of a step gives. An explicit score (by its sign) and an environment's reward (as given) are
 * taken as they are, with reliability 1; user replies and tool results go to the judge. Hints are read off user replies and
 * corrections alone. A judge that abstains gives no reward signal.
 */
export async function readSignals(
  judge: StepJudge,
  hintReader: HintReader | undefined,
  request: JudgeRequest,
): Promise<readonly Signal[]> {
  const { nextState } = request;
  switch (nextState.kind) {
    case "closed":
      return [];
    case "environment":
      return nextState.reward === undefined || !Number.isFinite(nextState.reward)
        ? []
        : [{ kind: "reward", source: "verifier:environment", value: nextState.reward, reliability: 1 }];
    case "feedback": {
      const signals: Signal[] = [];
      if (nextState.score !== undefined && Number.isFinite(nextState.score))
        signals.push({ kind: "reward", source: "feedback", value: Math.sign(nextState.score), reliability: 1 });
      const correction = boundedHint([asSentence(nextState.correction ?? "")]);
      if (correction) signals.push({ kind: "hint", source: "feedback", text: correction, reliability: 1 });
      return signals;
    }
    case "user":
    case "tool": {
      const { value, votes } = await judge.judge(request);
      const signals: Signal[] = [];
      if (value !== undefined)
        signals.push({ kind: "reward", source: judge.name, value, votes, reliability: judge.reliability });
      const hint = nextState.kind === "user" ? await hintReader?.read(request) : undefined;
      if (hint && hintReader)
        signals.push({ kind: "hint", source: hintReader.name, text: hint, reliability: judge.reliability });
      return signals;
    }
  }
}
