// The server of serving/while-learning: the embedded policy behind a gateway, with a learner that is gated on held-out questions and
// can be paused, in a process of its own. Tells its parent of versions, and of how long its event loop was held up.
import { monitorEventLoopDelay } from "node:perf_hooks";
import { createAgent, memoryEventLog } from "@afterstate/core";
import {
  createWorkerTrainer,
  EMBEDDED_POLICY,
  onlineLearner,
  openPolicy,
  readPolicyFolder,
  ruleHintReader,
  ruleJudge,
} from "@afterstate/learner";
import { createGateway } from "@afterstate/learner/gateway";
import {
  createSimulatedUsers,
  loadHomework,
  nameMemory,
  scoreAnswer,
  strangersNames,
} from "@afterstate/learner/homework";
import { calculatorTool } from "@afterstate/plugins-tools";

const [seed, batchEpisodes] = [Number(process.argv[2]), Number(process.argv[3])];
const GATE_QUESTIONS = 96;
const MAX_STEPS = 4;

const files = readPolicyFolder(EMBEDDED_POLICY);
const policy = await openPolicy(files);
const log = memoryEventLog();
const homework = loadHomework();
const { preference } = createSimulatedUsers(homework, { seed });
const questions = homework.drawDistinct("gate", GATE_QUESTIONS, 0);
const names = strangersNames(seed);
const schema = calculatorTool.input["~standard"].jsonSchema.input({ target: "draft-2020-12" });
const tools = [{ name: "calculator", description: calculatorTool.description, inputSchema: schema }];

const trainer = await createWorkerTrainer(files.config);
const learner = onlineLearner({
  policy,
  trainer,
  log,
  judge: ruleJudge(),
  hintReader: ruleHintReader(),
  mode: "live",
  signals: "hybrid",
  seed,
  batchEpisodes,
  credit: { decay: 0.97 },
  gate: { evaluate },
});
const agent = await createAgent({ model: policy.model(), plugins: [learner], log, seed });
const gateway = createGateway({
  agent,
  log,
  modelName: "embedded",
  policy,
  keys: [],
  limits: { requestsPerMinute: 1_000_000 },
  learner,
});

/** Whether each question is answered rightly, by a version that answers when it has nothing better to do. */
function evaluate(version) {
  const model = policy.model(version, { background: true });
  return Promise.all(
    questions.map(async (question, index) => {
      const name = names[index % names.length];
      const messages = [
        { role: "system", content: nameMemory(name) },
        { role: "user", content: `What is ${question.sum}?` },
      ];
      for (let step = 0; step < MAX_STEPS; step++) {
        const request = { messages: [...messages], tools, seed: index * MAX_STEPS + step };
        const { message } = await model.generate(request, { signal: new AbortController().signal }).response();
        if (!message.toolCalls?.length) return scoreAnswer(question, message.content, preference, name).success ? 1 : 0;
        messages.push(message);
        for (const { id, name: toolName, input } of message.toolCalls)
          messages.push({ role: "tool", toolCallId: id, toolName, content: calculate(input) });
      }
      return 0;
    }),
  );
}

function calculate(input) {
  try {
    return String(calculatorTool.execute(input));
  } catch (cause) {
    return String(cause.message);
  }
}

const lineage = ["base"];
agent.events.on("policy-update", ({ metrics }) =>
  process.send({ type: "update", accepted: metrics.gateAccepted === 1, seconds: metrics.seconds }),
);
agent.events.on("policy-promotion", ({ version }) => {
  lineage.push(version);
  process.send({ type: "promotion", version });
});
agent.events.on("policy-rollback", ({ from, to }) => {
  lineage.splice(lineage.indexOf(to) + 1);
  process.send({ type: "rollback", from, to });
});
agent.events.on("error", ({ code, message }) => process.send({ type: "trouble", code, message }));

const delay = monitorEventLoopDelay({ resolution: 5 });
process.on("message", async (message) => {
  if (message === "pause") learner.pause();
  if (message === "resume") learner.resume();
  if (message === "measure") {
    delay.reset();
    delay.enable();
  }
  if (message === "measured") {
    delay.disable();
    const ms = (nanoseconds) => nanoseconds / 1e6;
    process.send({ type: "event-loop", p99: ms(delay.percentile(99)), max: ms(delay.max) });
  }
  if (message === "rollback") {
    const failed = ({ code, message }) => process.send({ type: "trouble", code, message });
    await learner.rollback(lineage.at(-2)).catch(failed);
  }
  if (message === "stop") {
    await learner.stop();
    await gateway.close();
    await agent.close();
    process.exit(0);
  }
});
const { url } = await gateway.listen(0);
process.send({ type: "ready", url, backend: policy.backend, trainer: trainer.backend });
