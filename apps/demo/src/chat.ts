import type { Agent, AgentEvent, Feedback } from "@afterstate/core";
import type { Progress } from "./progress.js";

/** What came back from the agent. */
export interface ChatAnswer {
  readonly answer: string;
  readonly episodeId: string;
  readonly policyVersion: string;
  /** Why there is no answer. */
  readonly error?: string;
}

/** A person's way to the agent, from the terminal or the page. */
export interface Chat {
  /** One message; answers of one session come one after the other. Never rejects: a failure is in the answer. */
  send(message: { readonly sessionId: string; readonly text: string }): Promise<ChatAnswer>;
  /** Judges an answer in so many words. @throws AgentError `agent/unknown-episode`. */
  feedback(episodeId: string, feedback: Feedback): Promise<void>;
  /** Ends a conversation, so that its last answer has its next state. */
  end(sessionId: string): Promise<void>;
}

/** Opens a chat of one user with the agent; every message is also told to `report`. */
export function openChat(agent: Agent, userId: string, report: (progress: Progress) => void): Chat {
  const tell = (
    sessionId: string,
    from: "user" | "agent" | "tool",
    name: string,
    text: string,
    policyVersion: string,
    episodeId?: string,
  ) =>
    report({
      type: "message",
      arm: "person",
      sessionId,
      from,
      name,
      text,
      policyVersion,
      ...(episodeId === undefined ? {} : { episodeId }),
    });

  return {
    async send({ sessionId, text }) {
      const run = agent.stream({ prompt: text, sessionId, userId });
      tell(sessionId, "user", "you", text, "");
      const readTool = toolReader();
      let policyVersion = "";
      for await (const event of run) {
        policyVersion = event.policyVersion;
        const line = readTool(event);
        if (line !== undefined) tell(sessionId, "tool", line.name, line.text, policyVersion);
      }
      const { answer, error } = await run.result();
      tell(sessionId, "agent", "agent", error?.message ?? answer, policyVersion, run.episodeId);
      return {
        answer,
        episodeId: run.episodeId,
        policyVersion,
        ...(error === undefined ? {} : { error: error.message }),
      };
    },
    feedback: (episodeId, feedback) => agent.feedback(episodeId, feedback),
    end: (sessionId) => agent.closeSession(sessionId, "call"),
  };
}

/** Reads a run's events and gives one line for each tool that answered: what it was asked, and what it said. */
export function toolReader(): (event: AgentEvent) => { readonly name: string; readonly text: string } | undefined {
  const asked = new Map<string, string>();
  return (event) => {
    if (event.type === "tool-call") {
      const { id, input, invalidInput } = event.call;
      asked.set(id, invalidInput ?? inputText(input));
    }
    if (event.type !== "tool-result") return undefined;
    const { callId, toolName, content } = event.result;
    return { name: toolName, text: `${asked.get(callId) ?? ""} = ${content}` };
  };
}

/** The input itself when it is a single text field, JSON otherwise. */
function inputText(input: unknown): string {
  const values = typeof input === "object" && input !== null ? Object.values(input) : [];
  return values.length === 1 && typeof values[0] === "string" ? values[0] : JSON.stringify(input);
}
