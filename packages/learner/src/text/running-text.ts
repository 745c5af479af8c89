import {
  AgentError,
  type Attribution,
  type EventType,
  GUIDANCE,
  type Guidance,
  mixSeed,
  type PluginContext,
} from "@afterstate/core";
import { TEXT_DECISION } from "../decisions/episode-outcomes.js";
import { type LeftOut, LogFollower } from "../online/log-follower.js";
import type { CorrectionAttribution } from "../types.js";
import { attributeCorrection } from "./attribute-correction.js";
import { chooseTexts } from "./choose-texts.js";
import { type Batches, openBatches } from "./failing-batch.js";
import type { LearnedTextOptions } from "./learned-text-options.js";
import type { LearnedText, TextRules, TextState } from "./learned-text-state.js";
import { foldText, type TextFold, withSkills } from "./text-fold.js";

const WAKING: ReadonlySet<EventType> = new Set(["signal", "text-update"]);

/** The work of `learnedText`. */
export class RunningText {
  readonly #options: LearnedTextOptions;
  readonly #rules: TextRules;
  readonly #batches: Batches;
  readonly #follower: LogFollower<TextFold>;
  /** The episode that each session is in. */
  readonly #episodes = new Map<string, string>();
  #left: LeftOut = { isLeftOut: () => false, hasAsked: () => false };
  /** What the state will be once the log has the evolution that is being told: no episode that starts after it sees older text. */
  #ahead: TextState | undefined;

  /** @throws AgentError `text/bad-option` unless shareAfter is a whole number of at least 1. */
  constructor(options: LearnedTextOptions) {
    const { shareAfter = 3, log, clock } = options;
    if (!Number.isInteger(shareAfter) || shareAfter < 1)
      throw new AgentError("text/bad-option", `shareAfter is a whole number of users of at least 1, not ${shareAfter}`);
    this.#options = options;
    this.#rules = { shareAfter };
    this.#batches = openBatches({ batchEpisodes: 16, threshold: 0.4, ...options.skills });
    this.#follower = new LogFollower({
      name: "text",
      log,
      wakesOn: WAKING,
      open: (left) => this.#open(left),
      afterReading: () => this.#evolve(),
      ...(clock && { clock }),
    });
  }

  get state(): TextState {
    return this.#ahead ?? this.#follower.fold.state;
  }

  async start(context: PluginContext): Promise<void> {
    const { events } = context;
    const stop = [
      events.on("episode-start", ({ sessionId, episodeId }) => void this.#episodes.set(sessionId, episodeId)),
      events.on("episode-end", ({ sessionId }) => void this.#episodes.delete(sessionId)),
    ];
    context.onDispose(() => {
      for (const one of stop) one();
    });
    context.provide(GUIDANCE, { advise: (request) => this.advise(request) });
    await this.#follower.start(context);
  }

  advise({ sessionId, userId, messages }: Parameters<Guidance["advise"]>[0]): string | undefined {
    const prompt = messages.findLast(({ role }) => role === "user")?.content ?? "";
    const episodeId = this.#episodes.get(sessionId);
    const trialSeed = episodeId === undefined ? undefined : mixSeed(this.#options.seed ?? 0, "text", episodeId);
    const { guidance, trials } = chooseTexts(this.state, { userId, prompt, trialSeed });
    for (const { text, shown } of trials) this.#tellTrial(sessionId, episodeId!, text, shown);
    return guidance;
  }

  /** Waits until what was told before is taken in. */
  attribute({ episodeId, ...correction }: Parameters<CorrectionAttribution["attribute"]>[0]): Promise<Attribution> {
    return this.#follower.inTurn(async () => {
      await this.#follower.readOn();
      const decisions = this.#follower.fold.decisionsOf(episodeId);
      return attributeCorrection({ ...correction, decisions }, this.state, this.#rules);
    });
  }

  settled(): Promise<void> {
    return this.#follower.settled();
  }

  unlearn(userId: string): Promise<void> {
    return this.#follower.unlearn(userId);
  }

  #open(left: LeftOut): TextFold {
    this.#left = left;
    this.#batches.startAnew();
    const fold = foldText(this.#rules, left);
    return {
      ...fold,
      get state() {
        return fold.state;
      },
      take: (record) => {
        const outcome = fold.take(record);
        if (outcome !== undefined) this.#batches.take(outcome);
        if (record.event.type === "text-update") this.#batches.startAnew();
        return outcome;
      },
    };
  }

  /** Skills from the last full batch, where too little in it succeeded. They are in force once the log has them. */
  async #evolve(): Promise<void> {
    const { skills } = this.#options;
    const failing = skills && this.#batches.takeFailing();
    if (!skills || failing === undefined) return;
    const { texts, generation } = this.state;
    const { failures, success } = failing;
    const added = await skills.evolver.evolve({ failures, texts, ...this.#rules });
    if (added.length === 0) return;
    const evolution = { generation: generation + 1, added, metrics: { success, failures: failures.length } };
    const { cursor } = this.#follower;
    this.#ahead = withSkills(this.state, evolution, cursor, this.#left, this.#rules);
    try {
      await this.#follower.emit({ id: `text#generation-${generation + 1}`, type: "text-update", ...evolution });
      await this.#follower.readOn();
    } finally {
      this.#ahead = undefined;
    }
  }

  /** Which candidates an episode sees is a decision, with its propensity. */
  #tellTrial(sessionId: string, episodeId: string, { id }: LearnedText, shown: boolean): void {
    const name = `${TEXT_DECISION}${id}`;
    const choice = shown ? "shown" : "withheld";
    const decision = { name, choice, alternatives: ["withheld", "shown"], propensity: 0.5, features: {} };
    this.#follower
      .emit({ id: `${episodeId}#${name}`, sessionId, episodeId, type: "decision", ...decision })
      .catch((cause) => this.#follower.tellFailure(cause));
  }
}
