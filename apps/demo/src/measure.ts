import { createRandom, mixSeed } from "@afterstate/core";
import { type PolicyRuntime, wilsonInterval } from "@afterstate/learner";
import { type Question, type Style, scoreAnswer, strangersNames } from "@afterstate/learner/homework";
import { createHomeworkAgent } from "./homework-agent.js";
import type { Change, Comparison, Estimate, Measurement } from "./progress.js";

/** What the agent did on each question, in their order: 1 or 0. */
export interface Outcomes {
  readonly policyVersion: string;
  readonly success: readonly number[];
  readonly preference: readonly number[];
  readonly tool: readonly number[];
}

/** How a version is measured. Same questions and seed, same conditions: versions can be compared question by question. */
export interface MeasureRequest {
  readonly policy: PolicyRuntime;
  readonly version: string;
  readonly questions: readonly Question[];
  readonly preference: Style;
  readonly seed: number;
  readonly onProgress?: (completed: number) => void;
}

/** Users who ask the held-out questions. The agent knows their names, but they held no session that it learned from. */
const ASKERS = 8;

/** Asks a version of the policy questions, each in a session of its own, with nothing logged and nothing learned. */
export async function measure(request: MeasureRequest): Promise<Outcomes> {
  const { policy, version, questions, preference, seed } = request;
  const agent = await createHomeworkAgent({ model: policy.model(version), seed });
  try {
    const names = strangersNames(seed).slice(0, ASKERS);
    await Promise.all(
      names.map((name) =>
        agent.stream({ prompt: `I'm ${name}.`, userId: name, sessionId: `greeting-${name}` }).result(),
      ),
    );
    let completed = 0;
    const outcomes = await Promise.all(
      questions.map(async (question, index) => {
        const name = names[index % names.length]!;
        const run = agent.stream({
          prompt: `What is ${question.sum}?`,
          userId: name,
          sessionId: `question-${index}`,
          seed: mixSeed(seed, "held-out", index),
        });
        const { answer, steps } = await run.result();
        request.onProgress?.(++completed);
        return {
          ...scoreAnswer(question, answer, preference, name),
          tool: steps.some(({ action }) => action.kind === "tool"),
        };
      }),
    );
    const column = (of: (outcome: (typeof outcomes)[number]) => boolean) =>
      outcomes.map((outcome) => (of(outcome) ? 1 : 0));
    return {
      policyVersion: version,
      success: column(({ success }) => success),
      preference: column(({ preferenceHeld }) => preferenceHeld),
      tool: column(({ tool }) => tool),
    };
  } finally {
    await agent.close();
  }
}

/** Shares with their 95 % intervals. */
export function summarise({ policyVersion, success, preference, tool }: Outcomes): Measurement {
  return { policyVersion, success: share(success), preference: share(preference), toolRate: share(tool) };
}

/** Two measurements over the same questions. */
export function compare(before: Outcomes, after: Outcomes, seed: number): Comparison {
  return {
    before: summarise(before),
    after: summarise(after),
    change: {
      success: change(before.success, after.success, seed),
      preference: change(before.preference, after.preference, seed),
    },
  };
}

/** A share with its 95 % interval. */
export function share(outcomes: readonly number[]): Estimate {
  return wilsonInterval(
    outcomes.reduce((sum, outcome) => sum + outcome, 0),
    outcomes.length,
  );
}

/** The mean of the paired differences with its percentile bootstrap interval. */
function change(before: readonly number[], after: readonly number[], seed: number): Change {
  const differences = after.map((value, i) => value - before[i]!);
  const mean = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
  const random = createRandom(mixSeed(seed, "bootstrap"));
  const means = Array.from({ length: 2000 }, () => mean(differences.map(() => random.pick(differences)))).sort(
    (a, b) => a - b,
  );
  return { value: mean(differences), low: means[49]!, high: means[1949]! };
}
