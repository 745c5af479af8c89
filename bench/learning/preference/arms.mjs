// The arms of learning/preference: what differs between them, and nothing else does.
import { FEW_SAMPLES } from "@afterstate/learner";

/**
 * `users`: how many there are. Where weights learn alone, all sessions but a few are of different people, and strangers are asked for.
 * Text is learned for the user who asked for it, so there it is one person, who asks the held-out questions, too.
 * `learner`: options of the online learner; one whose batch never fills reads signals and trains nothing.
 */
export const ARMS = {
  reward: { users: 40, sessions: 60, learner: { ...FEW_SAMPLES, signals: "reward" } },
  hints: { users: 40, sessions: 60, learner: { ...FEW_SAMPLES, signals: "hints" } },
  hybrid: { users: 40, sessions: 60, learner: { ...FEW_SAMPLES, signals: "hybrid" } },
  control: { users: 40, sessions: 60, learner: { ...FEW_SAMPLES, signals: "hybrid", control: "shuffled-votes" } },
  text: { users: 1, sessions: 63, text: true, learner: { signals: "hybrid", batchEpisodes: 1e9 } },
  "text and weights": {
    users: 1,
    sessions: 63,
    text: true,
    learner: { ...FEW_SAMPLES, signals: "hybrid" },
  },
};
