// Sessions of simulated users with an agent, one after the other, and what the agent does on questions that nobody learns from.
import { createAgent, GUIDANCE, mixSeed } from "@afterstate/core";
import { scoreAnswer } from "@afterstate/learner/homework";
import { memoryBank } from "@afterstate/plugins-memory";
import { mctsPlanner, numberGame } from "@afterstate/plugins-planning";
import { calculator } from "@afterstate/plugins-tools";

/** As long as the conversations that the embedded policy knows. */
export const CONTEXT_TOKENS = 90;

/** An agent that does homework: a calculator, a memory of its users, a planner for the number game, and what is given. */
export function homeworkAgent({ model, maxContextTokens = CONTEXT_TOKENS, seed, log, plugins = [] }) {
  return createAgent({
    model,
    seed,
    maxContextTokens,
    budget: { maxSteps: 4 },
    plugins: [calculator(), memoryBank(), mctsPlanner({ domains: [numberGame()] }), ...plugins],
    ...(log && { log }),
  });
}

/** One session: the question, the answer, the reaction, and so on until the user leaves. @returns whether the first answer was right, and as wanted. */
export async function holdSession(agent, session) {
  const { sessionId, userId, name, question, preference } = session;
  let first;
  for (let said = { text: session.opening, leaves: false }; ; ) {
    const { answer } = await agent.stream({ prompt: said.text, sessionId, userId }).result();
    first ??= scoreAnswer(question, answer, preference, name);
    if (said.leaves) break;
    said = session.react(answer);
  }
  await agent.closeSession(sessionId, "call");
  return first;
}

/** Shares of held-out questions that are answered rightly, and in the way the users want; each in a session of its own, by one of `names`. */
export async function measure({ model, maxContextTokens, questions, preference, names, seed, guidance }) {
  const asLearned = {
    name: "as-learned",
    provides: [GUIDANCE],
    setup: ({ provide }) => provide(GUIDANCE, { advise: () => guidance }),
  };
  const plugins = guidance === undefined ? [] : [asLearned];
  const agent = await homeworkAgent({ model, maxContextTokens, seed, plugins });
  try {
    const greet = (name) =>
      agent.stream({ prompt: `I'm ${name}.`, userId: name, sessionId: `greeting-${name}` }).result();
    await Promise.all(names.map(greet));
    const scores = await Promise.all(
      questions.map(async (question, index) => {
        const name = names[index % names.length];
        const asked = { prompt: `What is ${question.sum}?`, userId: name, sessionId: `question-${index}` };
        const { answer } = await agent.stream({ ...asked, seed: mixSeed(seed, "held-out", index) }).result();
        return scoreAnswer(question, answer, preference, name);
      }),
    );
    const share = (of) => scores.filter(of).length / scores.length;
    return { success: share(({ success }) => success), preference: share(({ preferenceHeld }) => preferenceHeld) };
  } finally {
    await agent.close();
  }
}
