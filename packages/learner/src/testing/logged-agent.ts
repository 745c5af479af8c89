import {
  type AgentEvent,
  createEventBus,
  type EventBus,
  type EventLog,
  type EventPayloads,
  type EventType,
  type Message,
  type NextState,
  type PluginContext,
  type ToolCall,
} from "@afterstate/core";
import { fakePrompt } from "./fake-policy.js";

/** One step of a written episode. */
export interface WrittenStep {
  readonly text?: string;
  /** Makes it a tool step: the tool's result, or its error. */
  readonly tool?: { readonly name: string; readonly content: string; readonly isError?: boolean };
  /** `false`: as a hosted model, without token record. */
  readonly tokens?: boolean;
}

/** Writes the events of an agent into a log and onto a bus, as the loop does, without a loop. */
export interface LoggedAgent {
  readonly bus: EventBus;
  /** What a plugin gets at setup. */
  readonly context: PluginContext;
  /** One run: its prompt is the next state of the session's last step. @returns the episode's id. */
  run(request: {
    readonly sessionId: string;
    readonly userId?: string;
    readonly prompt: string;
    readonly steps: readonly WrittenStep[];
    readonly policyVersion: string;
  }): Promise<string>;
  feedback(episodeId: string, stepIndex: number, feedback: { score?: number; correction?: string }): Promise<void>;
  close(sessionId: string): Promise<void>;
}

/** Makes one over a log; it knows of earlier runs only what it wrote itself. */
export function loggedAgent(log: EventLog): LoggedAgent {
  const bus = createEventBus();
  const sessions = new Map<
    string,
    { episodes: number; context: Message[]; pending?: AgentEvent["episodeId"]; last: number }
  >();
  let events = 0;
  const emit = async (event: AgentEvent): Promise<void> => {
    const kept = log.append(event);
    bus.emit(event);
    await kept;
  };
  const say = <T extends EventType>(
    type: T,
    place: { sessionId: string; episodeId: string; stepIndex: number; policyVersion: string },
    payload: EventPayloads[T],
  ) =>
    emit({ id: `${place.episodeId}#${events++}`, time: events, ...place, type, ...payload } as unknown as AgentEvent);

  const endLast = async (sessionId: string, nextState: NextState) => {
    const session = sessions.get(sessionId);
    if (session?.pending === undefined) return;
    const of = { episodeId: session.pending, stepIndex: session.last };
    delete session.pending;
    await say("next-state", { sessionId, ...of, policyVersion: "" }, { of, nextState });
  };

  return {
    bus,
    context: {
      provide() {},
      get: () => {
        throw new Error("no service is provided");
      },
      onDispose() {},
      events: bus,
      emit,
    },
    async run({ sessionId, userId, prompt, steps, policyVersion }) {
      await endLast(sessionId, { kind: "user", text: prompt });
      const session = sessions.get(sessionId) ?? { episodes: 0, context: [], last: 0 };
      sessions.set(sessionId, session);
      const episodeId = `${sessionId}/${session.episodes++}`;
      const at = (stepIndex: number) => ({ sessionId, episodeId, stepIndex, policyVersion });
      await say("episode-start", at(-1), { prompt, ...(userId !== undefined && { userId }), seed: 0 });
      let added: Message[] = [{ role: "user", content: prompt }];
      if (session.context.at(-1)?.role === "assistant") added = [session.context.pop()!, ...added];
      for (const [index, step] of steps.entries()) {
        session.context.push(...added);
        await say("observation", at(index), { added });
        const call: ToolCall | undefined = step.tool && { id: `call-${index}`, name: step.tool.name, input: {} };
        const message = { role: "assistant", content: step.text ?? "", ...(call && { toolCalls: [call] }) } as const;
        await say("action", at(index), {
          action: call ? { kind: "tool", message, calls: [call] } : { kind: "answer", message },
          finishReason: call ? "tool-calls" : "stop",
          ...(step.tokens !== false && {
            tokens: {
              promptIds: fakePrompt(session.context, []),
              ids: [1, 2, 3],
              logProbs: [-0.5, -0.1, 0],
              mask: [1, 1, 0],
              temperature: 1,
            },
          }),
        });
        if (step.tool && call) {
          const { content, name, isError = false } = step.tool;
          const result = { callId: call.id, toolName: name, content, isError, durationMs: 1 };
          const of = { episodeId, stepIndex: index };
          await say("next-state", at(index), { of, nextState: { kind: "tool", results: [result] } });
          added = [message, { role: "tool", toolCallId: call.id, toolName: name, content }];
        } else {
          session.context.push(message);
          session.pending = episodeId;
          session.last = index;
        }
      }
      await say("episode-end", at(-1), {
        stopReason: "answered",
        answer: steps.at(-1)?.text ?? "",
        cost: { inputTokens: 0, outputTokens: 0, dollars: 0, durationMs: 0 },
      });
      return episodeId;
    },
    async feedback(episodeId, stepIndex, feedback) {
      const sessionId = episodeId.slice(0, episodeId.lastIndexOf("/"));
      const place = { sessionId, episodeId, stepIndex, policyVersion: "" };
      await say("feedback", place, { of: { episodeId, stepIndex }, ...feedback });
      await say("next-state", place, { of: { episodeId, stepIndex }, nextState: { kind: "feedback", ...feedback } });
      delete sessions.get(sessionId)?.pending;
    },
    close: (sessionId) => endLast(sessionId, { kind: "closed", by: "call" }),
  };
}
