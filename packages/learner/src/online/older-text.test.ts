import { memoryEventLog } from "@afterstate/core";
import { expect, it } from "vitest";
import { ruleHintReader } from "../signals/rule-hint-reader.js";
import { ruleJudge } from "../signals/rule-judge.js";
import { fakePolicy, fakeTrainer } from "../testing/fake-policy.js";
import { loggedAgent } from "../testing/logged-agent.js";
import { onlineLearner } from "./online-learner.js";

it("trains on nothing that was sampled before an evolution of learned text, and counts what it leaves out", async () => {
  const log = memoryEventLog();
  const trainer = fakeTrainer(() => 0);
  const learner = onlineLearner({
    policy: fakePolicy(),
    trainer,
    log,
    judge: ruleJudge(),
    hintReader: ruleHintReader(),
    mode: "live",
    signals: "hybrid",
    batchEpisodes: 4,
  });
  const agent = loggedAgent(log);
  await learner.setup?.(agent.context);
  const ask = (prompt: string) =>
    agent.run({ sessionId: "a", prompt, policyVersion: "base", steps: [{ text: "The answer is 24." }] });
  await ask("What is 48/2?");
  await ask("Just the number please. What is 10*3?");
  await agent.context.emit({
    id: "evolution",
    time: 7,
    sessionId: "",
    episodeId: "",
    stepIndex: -1,
    policyVersion: "",
    type: "text-update",
    generation: 1,
    added: [],
    metrics: {},
  });
  await ask("Just the number please. What is 6*4?");
  await ask("Use my name. What is 8*3?");
  await ask("Thanks!");
  await learner.settled();
  // a/0 and a/1 had begun by then; a/2 and a/3 had not.
  expect(trainer.requests.map(({ samples }) => samples.map(({ of }) => of.episodeId))).toEqual([["a/2", "a/3"]]);
  expect(learner.report()).toMatchObject({ updates: 1, episodes: 4, samples: 2, dropped: { olderText: 2 } });
  await learner.stop();
});
