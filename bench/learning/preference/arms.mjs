// The arms of learning/preference: what differs between them, and nothing else does.

/** Steps of one size: of four episodes too little can be halved for a rate that the agreement of halves decides. */
const UPDATE = { stepSize: "fixed", learningRate: 6e-4, teacher: "reference" };
/** So many of the last episodes are taught again with each batch. */
const REPLAY = 16;
const LEARNER = { batchEpisodes: 4, replayEpisodes: REPLAY, update: UPDATE };

/**
 * `users`: how many there are. Where weights learn alone, all sessions but a few are of different people, and strangers are asked for.
 * Text is learned for the user who asked for it, so there it is one person, who asks the held-out questions, too.
 * `learner`: options of the online learner; one whose batch never fills reads signals and trains nothing.
 */
export const ARMS = {
  reward: {
    users: 40,
    sessions: 120,
    learner: { ...LEARNER, signals: "reward", update: { ...UPDATE, learningRate: 3e-4 } },
  },
  hints: { users: 40, sessions: 60, learner: { ...LEARNER, signals: "hints" } },
  hybrid: { users: 40, sessions: 60, learner: { ...LEARNER, signals: "hybrid" } },
  control: { users: 40, sessions: 60, learner: { ...LEARNER, signals: "hybrid", control: "shuffled-votes" } },
  text: { users: 1, sessions: 63, text: true, learner: { signals: "hybrid", batchEpisodes: 1e9 } },
  "text and weights": { users: 1, sessions: 63, text: true, learner: { ...LEARNER, signals: "hybrid" } },
};
