import {
  AgentError,
  type Clock,
  type EventLog,
  type EventType,
  GUIDANCE,
  type Guidance,
  mixSeed,
  type Plugin,
  type PluginContext,
  systemClock,
} from "@afterstate/core";
import { LogReader } from "../online/log-reader.js";
import type { HintReader, StepJudge } from "../types.js";
import { chooseTexts } from "./choose-texts.js";
import type { LearnedText, TextState } from "./learned-text-state.js";
import { openSignalReader, type SignalReader } from "./signal-reader.js";
import { foldText, TEXT_DECISION, type TextFold } from "./text-fold.js";

/** What learned text is made with. */
export interface LearnedTextOptions {
  /** The log that the agent writes. */
  readonly log: EventLog;
  /** Reads next states itself. Needed where no online learner does, as in front of a hosted model; left out where one does. */
  readonly reads?: { readonly judge: StepJudge; readonly hintReader: HintReader };
  /** How many users must ask for the same before others see it. Default 3. */
  readonly shareAfter?: number;
  /** Users of whom nothing may be left. */
  readonly without?: readonly string[];
  /** Decides who sees candidates. Default 0. */
  readonly seed?: number;
  readonly clock?: Clock;
}

/** A plugin that learns in words what users want, and says it to the model. */
export interface LearnedTextPlugin extends Plugin, Guidance {
  /** Resolves once everything that has happened so far is taken in. */
  settled(): Promise<void>;
  /** Everything that was learned, as of now. */
  readonly state: TextState;
  /** Forgets a user: what is left is what the log would have taught without them. A later process needs them in `without`. */
  unlearn(userId: string): Promise<void>;
  /** What is in force, one text a line. */
  report(): string;
}

/**
 * Learned text. It is a fold over the event log and kept nowhere else, so that a stop at any moment loses nothing: after a start it is what
 * it was. Corrections come from the hint signals of an online learner, or are read by itself. One user's text is shown to that user alone;
 * what enough users asked for is shown to everyone, first on trial.
 *
 * @throws AgentError `text/bad-option` unless shareAfter is a whole number of at least 1.
 */
export function learnedText(options: LearnedTextOptions): LearnedTextPlugin {
  const { shareAfter = 3 } = options;
  if (!Number.isInteger(shareAfter) || shareAfter < 1)
    throw new AgentError("text/bad-option", `shareAfter is a whole number of users of at least 1, not ${shareAfter}`);
  const text = new RunningText(options);
  return {
    name: "learned-text",
    provides: [GUIDANCE],
    setup: (context) => text.start(context),
    advise: (request) => text.advise(request),
    settled: () => text.settled(),
    get state() {
      return text.state;
    },
    unlearn: (userId) => text.unlearn(userId),
    report: () =>
      text.state.texts
        .filter(({ state }) => state !== "retired")
        .map(describe)
        .join("\n"),
  };
}

/** Events after which the log is read on. */
const WAKING: ReadonlySet<EventType> = new Set(["next-state", "feedback", "signal", "episode-end", "text-update"]);

/** The work of {@link learnedText}. */
class RunningText {
  readonly #options: LearnedTextOptions;
  readonly #without: Set<string>;
  /** The episode that each session is in. */
  readonly #episodes = new Map<string, string>();
  readonly #log: LogReader;
  #fold: TextFold;
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
    this.#log = new LogReader(options.log, (record) => {
      this.#fold.take(record);
      this.#signals?.take(record);
    });
  }

  get state(): TextState {
    return this.#fold.state;
  }

  async start(context: PluginContext): Promise<void> {
    const { reads, clock = systemClock } = this.#options;
    this.#context = context;
    if (reads)
      this.#signals = openSignalReader({
        ...reads,
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
    return foldText({ shareAfter: this.#options.shareAfter ?? 3 }, new Set(this.#without));
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

  #inTurn(task: () => Promise<void>): Promise<void> {
    const run = this.#tail.then(task);
    this.#tail = run.catch(() => {});
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

function describe({ id, state, scope, text, users, trial }: LearnedText): string {
  const whose = scope === "everyone" ? `everyone, asked for by ${users.length}` : scope.userId;
  const { shown, withheld } = trial;
  return `${state.padEnd(9)} ${id} (${whose}): "${text}" reward ${shown.mean.toFixed(2)} with (${shown.count}), ${withheld.mean.toFixed(2)} without (${withheld.count})`;
}
