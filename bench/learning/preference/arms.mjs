// The arms of learning/preference: what differs between them, and nothing else does.
import { FEW_SAMPLES } from "@afterstate/learner";

/** Rewards alone: the better of 3e-4 and 6e-4 with batches of four; without hints there is nothing to replay and no teacher. */
const REWARDS = { ...FEW_SAMPLES, batchEpisodes: 4, update: { ...FEW_SAMPLES.update, learningRate: 3e-4 } };
/** To hints alone an acceptance says nothing: an update for every episode that has a hint, so that it learns as often as it can. */
const HINTS = { ...FEW_SAMPLES, batchEpisodes: 1, update: { ...FEW_SAMPLES.update, learningRate: 6e-4 } };
/** Where text carries the preference the weights have time. */
const BESIDE_TEXT = { ...FEW_SAMPLES, batchEpisodes: 4, update: { ...FEW_SAMPLES.update, learningRate: 3e-4 } };

/**
 * `users`: how many there are. Where weights learn alone, all sessions but a few are of different people, and strangers are asked for.
 * Text is learned for the user who asked for it, so there it is one person, who asks the held-out questions, too.
 * `learner`: options of the online learner; one whose batch never fills reads signals and trains nothing.
 */
export const ARMS = {
  reward: { users: 40, sessions: 60, learner: { ...REWARDS, signals: "reward" } },
  hints: { users: 40, sessions: 60, learner: { ...HINTS, signals: "hints" } },
  hybrid: { users: 40, sessions: 60, learner: { ...FEW_SAMPLES, signals: "hybrid" } },
  control: { users: 40, sessions: 60, learner: { ...FEW_SAMPLES, signals: "hybrid", control: "shuffled-votes" } },
  text: { users: 1, sessions: 63, text: true, learner: { signals: "hybrid", batchEpisodes: 1e9 } },
  "text and weights": {
    users: 1,
    sessions: 63,
    text: true,
    learner: { ...BESIDE_TEXT, signals: "hybrid" },
  },
};
