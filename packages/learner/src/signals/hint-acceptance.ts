import {
  AgentError,
  type LanguageModel,
  type Message,
  mixSeed,
  type TokenRecord,
  type ToolDefinition,
  withGuidance,
} from "@afterstate/core";
import type { PolicyRuntime } from "../types.js";
import { wilsonInterval } from "./wilson-interval.js";

/** A hint, and the step that it is about. */
export interface HintedStep {
  readonly messages: readonly Message[];
  /** Learned text that the policy saw besides. */
  readonly guidance?: string;
  readonly tools: readonly ToolDefinition[];
  readonly tokens?: TokenRecord;
  readonly hint: string;
  /** How the step was judged; undefined when nobody said. */
  readonly reward: number | undefined;
}

/** What a hint was measured to do. */
export interface HintEffect {
  /** In the measure's own unit; absent when it could not be measured. */
  readonly effect?: number;
  /** Why the hint is not taken; absent when it is. */
  readonly rejected?: string;
}

/** Measures what a hint does to the policy that sees it. May reject: the hint counts as not measured then, and is taken. */
export interface HintAcceptance {
  measure(step: HintedStep): Promise<HintEffect>;
}

/** Numbers of {@link acceptByLogProbs}. */
export interface LogProbOptions {
  readonly policy: PolicyRuntime;
  /** By how much a response must become less likely, in nats a token. Default 0.15. */
  readonly margin?: number;
  /** How unlikely a token of the teacher's own responses may be to the student, in nats. Default 8: one in 3,000. */
  readonly reach?: number;
  /** Responses of the teacher that are drawn. Default 4. */
  readonly samples?: number;
  readonly seed: number;
  readonly timeoutMs?: number;
}

/**
 * Accepts a hint by what it does to the policy that sees it, the teacher, where nobody can judge new responses. All terms are those of the serving
 * version.
 *
 *   Δ = 1/T Σ_t log π(a_t | s + hint, a_<t) − log π(a_t | s, a_<t)      over the T tokens that the policy sampled
 *   R = median over a' ~ π(· | s + hint) of min_t log π(a'_t | s, a'_<t)
 *
 * A response that was bad, or found to want advice, must become less likely: Δ < −margin. One that was good must not: Δ ≥ −margin. Δ alone
 * takes any text that confuses the teacher for advice, so what the teacher does instead must be something that the student does now
 * and then: R ≥ −reach. It is also all that it could learn: distillation moves a policy among what it samples itself, which is why
 * arXiv:2603.10165 prefers the hint whose likeliest tokens are the student's, too. A step without token record is not measured.
 */
export function acceptByLogProbs(options: LogProbOptions): HintAcceptance {
  const { policy, margin = 0.15, reach = 8, samples = 4, seed, timeoutMs = 60_000 } = options;
  if (!(margin >= 0 && reach > 0 && samples >= 1))
    throw new AgentError(
      "hint/bad-option",
      `margin must be 0 or more, reach more than 0 and samples at least 1, not ${margin}, ${reach} and ${samples}`,
    );
  const reached = async (version: string, step: HintedStep, hinted: readonly Message[]): Promise<number> => {
    const { tools, hint } = step;
    const model = policy.model(version);
    const drawn = await Promise.all(
      Array.from({ length: samples }, (_, index) =>
        model
          .generate(
            { messages: hinted, tools, seed: mixSeed(seed, hint, index), temperature: 1 },
            { signal: AbortSignal.timeout(timeoutMs) },
          )
          .response(),
      ),
    );
    const promptIds = policy.encodePrompt(contextsOf(step).seen, tools);
    const rows = drawn.flatMap(({ tokens }) =>
      tokens?.ids.length ? [{ promptIds, ids: tokens.ids, temperature: 1 }] : [],
    );
    const scored = await policy.score(version, rows);
    return median(scored.map((logProbs) => Math.min(...logProbs)));
  };
  return {
    async measure(step) {
      const { tools, tokens, reward } = step;
      const { seen, hinted } = contextsOf(step);
      if (tokens === undefined || hinted === undefined) return {};
      const version = policy.serving;
      const { ids, mask, temperature } = tokens;
      const sampled = { ids, temperature: temperature > 0 ? temperature : 1 };
      const prompts = [policy.encodePrompt(hinted, tools), policy.encodePrompt(seen, tools)];
      const scored = await policy.score(
        version,
        prompts.map((promptIds) => ({ ...sampled, promptIds })),
      );
      const [teacher, student] = scored.map((logProbs) => meanOver(logProbs, mask));
      const effect = teacher! - student!;
      if (!Number.isFinite(effect)) return {};
      const lowered = effect < -margin;
      if (reward !== undefined && reward > 0)
        return lowered ? { effect, rejected: "it makes a response that was good less likely" } : { effect };
      if (!lowered) return { effect, rejected: "it does not make the response less likely that it was given for" };
      if ((await reached(version, step, hinted)) < -reach)
        return { effect, rejected: "what it leads to is nothing that the policy would do by itself" };
      return { effect };
    },
  };
}

/**
 * Accepts a hint by what the policy does when it sees it: responses with and without the hint, drawn with the same seeds from the serving
 * version and scored. The hint has to win more of the pairs that differ than chance would: the lower end of the 90 % interval of
 * its share is above one half. Where no response can be scored the hint is not measured.
 *
 * @param options.score −1 … +1 of a response, undefined when it cannot be scored: a verifier, for example.
 * @param options.samples pairs; 6 are the fewest that can be enough.
 */
export function acceptBySampling(options: {
  readonly model: LanguageModel;
  readonly score: (response: string, step: HintedStep) => number | undefined | Promise<number | undefined>;
  readonly samples: number;
  readonly seed: number;
  readonly timeoutMs?: number;
}): HintAcceptance {
  const { model, score, samples, seed, timeoutMs = 60_000 } = options;
  if (!Number.isInteger(samples) || samples < 6)
    throw new AgentError("hint/bad-option", `hints are measured on at least 6 pairs of responses, not ${samples}`);
  const scoreOne = async (messages: readonly Message[], step: HintedStep, index: number) => {
    const request = { messages, tools: step.tools, seed: mixSeed(seed, step.hint, index) };
    const { message } = await model.generate(request, { signal: AbortSignal.timeout(timeoutMs) }).response();
    return score(responseText(message), step);
  };
  return {
    async measure(step) {
      const { seen, hinted } = contextsOf(step);
      if (hinted === undefined) return {};
      const pairs = await Promise.all(
        Array.from({ length: samples }, (_, index) =>
          Promise.all([scoreOne(hinted, step, index), scoreOne(seen, step, index)]),
        ),
      );
      const known = pairs.flatMap(([taught, plain]) =>
        taught === undefined || plain === undefined ? [] : [taught - plain],
      );
      if (known.length === 0) return {};
      const effect = known.reduce((sum, difference) => sum + difference, 0) / known.length;
      const wins = known.filter((difference) => difference > 0).length;
      const share = wilsonInterval(wins, known.filter((difference) => difference !== 0).length, 1.645);
      if (share.low > 0.5) return { effect };
      return {
        effect,
        rejected: `responses with it were better ${wins} times of the ${share.n} that it made a difference`,
      };
    },
  };
}

/** What the policy saw, and what it would have seen with the hint; `hinted` is undefined where no user spoke. */
function contextsOf({ messages, guidance, hint }: HintedStep) {
  return {
    seen: guidance === undefined ? messages : (withGuidance(messages, guidance) ?? messages),
    hinted: withGuidance(messages, guidance === undefined ? hint : `${guidance} ${hint}`),
  };
}

/** A response as judges and verifiers see it: its text, then its tool calls as JSON. */
function responseText({ content, toolCalls = [] }: Extract<Message, { role: "assistant" }>): string {
  return [content, ...toolCalls.map(({ name, input }) => JSON.stringify({ name, input }))].filter(Boolean).join("\n");
}

/** The middle one, or the mean of the middle two; −∞ of none. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  if (sorted.length === 0) return Number.NEGATIVE_INFINITY;
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
}

function meanOver(values: readonly number[], mask: readonly number[]): number {
  let [sum, count] = [0, 0];
  for (const [t, counts] of mask.entries()) {
    if (counts !== 1) continue;
    sum += values[t]!;
    count++;
  }
  return sum / count;
}
