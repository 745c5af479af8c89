import {
  AgentError,
  type Attribution,
  type EventType,
  GUIDANCE,
  type Guidance,
  mixSeed,
  type PluginContext,
  systemClock,
} from "@afterstate/core";
import { LogReader } from "../online/log-reader.js";
import type { CorrectionAttribution } from "../types.js";
import { attributeCorrection } from "./attribute-correction.js";
import { chooseTexts } from "./choose-texts.js";
import { type Batches, openBatches } from "./failing-batch.js";
import type { LearnedTextOptions } from "./learned-text-options.js";
import type { LearnedText, TextState } from "./learned-text-state.js";
import { openSignalReader, type SignalReader } from "./signal-reader.js";
import { foldText, TEXT_DECISION, type TextFold, withSkills } from "./text-fold.js";

/** Events after which the log is read on. */
const WAKING: ReadonlySet<EventType> = new Set(["next-state", "feedback", "signal", "episode-end", "text-update"]);

/** The work of `learnedText`: one task after the other, whatever wakes it. */
export class RunningText {
  readonly #options: LearnedTextOptions;
  readonly #without: Set<string>;
  /** The episode that each session is in. */
  readonly #episodes = new Map<string, string>();
  readonly #log: LogReader;
  readonly #batches: Batches;
  #fold: TextFold;
  /** What the state will be once the log has the evolution that is being told: no episode that starts after it sees older text. */
  #ahead: TextState | undefined;
  #signals: SignalReader | undefined;
  #context: PluginContext | undefined;
  #tail: Promise<void> = Promise.resolve();
  #wakePending = false;
  #stopped = false;
  #errors = 0;

  constructor(options: LearnedTextOptions) {
    this.#options = options;
    this.#without = new Set(options.without);
    this.#fold = this.#newFold();
    this.#batches = openBatches({ batchEpisodes: 16, threshold: 0.4, ...options.skills });
    this.#log = new LogReader(options.log, (record) => {
      const outcome = this.#fold.take(record);
      if (outcome !== undefined) this.#batches.take(outcome);
      if (record.event.type === "text-update") this.#batches.startAnew();
      this.#signals?.take(record);
    });
  }

  get #shareAfter(): number {
    return this.#options.shareAfter ?? 3;
  }

  get state(): TextState {
    return this.#ahead ?? this.#fold.state;
  }

  async start(context: PluginContext): Promise<void> {
    const { reads, clock = systemClock } = this.#options;
    this.#context = context;
    if (reads)
      this.#signals = openSignalReader({
        ...reads,
        // Its readings are made in a turn of their own, and nobody trains where it has to read.
        attribution: { attribute: async (correction) => this.#attribution({ ...correction, hasWeights: false }) },
        now: () => clock.now(),
        emit: (event) => context.emit(event),
        onFailure: (code, message) => this.#tellFailure(new AgentError(code, message)),
      });
    await this.#log.read();
    const { events } = context;
    const unsubscribe = [
      events.onAny(({ type, id }) => {
        if (!WAKING.has(type)) return;
        this.#log.expect(id);
        this.#wake();
      }),
      events.on("episode-start", ({ sessionId, episodeId }) => void this.#episodes.set(sessionId, episodeId)),
      events.on("episode-end", ({ sessionId }) => void this.#episodes.delete(sessionId)),
    ];
    context.provide(GUIDANCE, { advise: (request) => this.advise(request) });
    context.onDispose(async () => {
      this.#stopped = true;
      for (const stop of unsubscribe) stop();
      await this.#tail;
    });
    this.#wake();
  }

  advise({ sessionId, userId, messages }: Parameters<Guidance["advise"]>[0]): string | undefined {
    const prompt = messages.findLast(({ role }) => role === "user")?.content ?? "";
    const episodeId = this.#episodes.get(sessionId);
    const trialSeed = episodeId === undefined ? undefined : mixSeed(this.#options.seed ?? 0, "text", episodeId);
    const { guidance, trials } = chooseTexts(this.state, { userId, prompt, trialSeed });
    for (const { text, shown } of trials) this.#tellTrial(sessionId, episodeId!, text, shown);
    return guidance;
  }

  /** For a learner, which has to wait until what it told before is taken in. */
  attribute(correction: Parameters<CorrectionAttribution["attribute"]>[0]): Promise<Attribution> {
    return this.#inTurn(async () => {
      await this.#log.read();
      return this.#attribution(correction);
    });
  }

  #attribution({ episodeId, ...correction }: Parameters<CorrectionAttribution["attribute"]>[0]): Attribution {
    const decisions = this.#fold.decisionsOf(episodeId);
    return attributeCorrection({ ...correction, decisions }, this.state, { shareAfter: this.#shareAfter });
  }

  async settled(): Promise<void> {
    do await this.#tail;
    while (this.#wakePending);
  }

  unlearn(userId: string): Promise<void> {
    this.#without.add(userId);
    return this.#inTurn(async () => {
      const fold = this.#newFold();
      const end = this.#log.cursor;
      for await (const record of this.#options.log.read(0)) {
        if (record.offset >= end) break;
        fold.take(record);
      }
      this.#fold = fold;
    });
  }

  #newFold(): TextFold {
    return foldText({ shareAfter: this.#shareAfter }, new Set(this.#without));
  }

  /** Skills from the last full batch, where too little in it succeeded. They are in force once the log has them. */
  async #evolve(): Promise<void> {
    const { skills, clock = systemClock } = this.#options;
    const failing = skills && this.#batches.takeFailing();
    if (!skills || failing === undefined) return;
    const { texts, generation } = this.state;
    const { failures, success } = failing;
    const added = await skills.evolver.evolve({ failures, texts, shareAfter: this.#shareAfter });
    if (added.length === 0) return;
    const id = `learned-text#generation-${generation + 1}`;
    const place = { time: clock.now(), sessionId: "", episodeId: "", stepIndex: -1, policyVersion: "" };
    const evolution = { generation: generation + 1, added, metrics: { success, failures: failures.length } };
    this.#ahead = withSkills(this.state, evolution, this.#log.cursor, this.#without, { shareAfter: this.#shareAfter });
    try {
      await this.#context?.emit({ id, ...place, type: "text-update", ...evolution });
      await this.#log.readWhatHappened();
    } finally {
      this.#ahead = undefined;
    }
  }

  /** Which candidates an episode sees is a decision, with its propensity. */
  #tellTrial(sessionId: string, episodeId: string, { id }: LearnedText, shown: boolean): void {
    const { clock = systemClock } = this.#options;
    const told = this.#context?.emit({
      id: `${episodeId}#${TEXT_DECISION}${id}`,
      time: clock.now(),
      sessionId,
      episodeId,
      stepIndex: -1,
      policyVersion: "",
      type: "decision",
      name: `${TEXT_DECISION}${id}`,
      choice: shown ? "shown" : "withheld",
      alternatives: ["withheld", "shown"],
      propensity: 0.5,
      features: {},
    });
    told?.catch((cause) => this.#tellFailure(cause));
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#tail.then(task);
    this.#tail = run.then(
      () => {},
      () => {},
    );
    return run;
  }

  #wake(): void {
    if (this.#wakePending || this.#stopped) return;
    this.#wakePending = true;
    void this.#inTurn(async () => {
      this.#wakePending = false;
      await this.#advance();
    }).catch((cause) => this.#tellFailure(cause));
  }

  async #advance(): Promise<void> {
    do {
      await this.#log.readWhatHappened();
      await this.#signals?.readReady();
      await this.#evolve();
    } while (this.#log.isBehind && !this.#stopped);
  }

  /** Tells of a failure that was got over. Must not throw. */
  async #tellFailure(cause: unknown): Promise<void> {
    const { clock = systemClock } = this.#options;
    const { code, message } = AgentError.isInstance(cause) ? cause : { code: "text/failed", message: String(cause) };
    const event = { time: clock.now(), sessionId: "", episodeId: "", stepIndex: -1, policyVersion: "" };
    const id = `learned-text#error-${this.#log.cursor}-${this.#errors++}`;
    await this.#context?.emit({ id, ...event, type: "error", code, message }).catch(() => {});
  }
}
