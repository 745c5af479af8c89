import { GUIDANCE } from "@afterstate/core";
import type { LearnedTextOptions, LearnedTextPlugin } from "./learned-text-options.js";
import type { LearnedText } from "./learned-text-state.js";
import { RunningText } from "./running-text.js";

/**
 * Learned text. It is a fold over the event log and kept nowhere else, so that a stop at any moment loses nothing: after a start it is what
 * it was. Corrections are the hint signals of an online learner or, where there is none, of a `signalReader()`. One user's text is shown
 * to that user alone; what enough users asked for is shown to everyone, first on trial.
 *
 * @throws AgentError `text/bad-option` unless shareAfter is a whole number of at least 1.
 */
export function learnedText(options: LearnedTextOptions): LearnedTextPlugin {
  const text = new RunningText(options);
  return {
    name: "learned-text",
    provides: [GUIDANCE],
    setup: (context) => text.start(context),
    advise: (request) => text.advise(request),
    attribute: (correction) => text.attribute(correction),
    settled: () => text.settled(),
    get state() {
      return text.state;
    },
    unlearn: (userId) => text.unlearn(userId),
    report: () => {
      const { texts, corrections } = text.state;
      const absorbed = Object.entries(corrections).map(([layer, count]) => `${layer} ${count}`);
      const kept = texts.filter(({ state }) => state !== "retired").map(describe);
      return [...kept, `corrections: ${absorbed.join(", ")}`].join("\n");
    },
  };
}

function describe({ id, state, scope, text, users, trial }: LearnedText): string {
  const whose = scope === "everyone" ? `everyone, asked for by ${users.length}` : scope.userId;
  const { shown, withheld } = trial;
  const rewards = [
    ...(shown.count > 0 ? [`reward ${shown.mean.toFixed(2)} in ${shown.count} episodes with it`] : []),
    ...(withheld.count > 0 ? [`${withheld.mean.toFixed(2)} in ${withheld.count} without`] : []),
  ];
  return [`${state} ${id} (${whose}): "${text}"`, ...rewards].join(", ");
}
