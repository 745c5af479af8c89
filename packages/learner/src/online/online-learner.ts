import { AgentError } from "@afterstate/core";
import { NO_COUNTS } from "../versions/version-manifest.js";
import type { OnlineLearner, OnlineLearnerOptions } from "./learner-options.js";
import { RunningLearner } from "./running-learner.js";

/**
 * Learns from the event log while the agent serves: reads episodes off it, judges their steps by what happened next, gives
 * credit, and makes a new policy version of every batch of episodes, off the serving path.
 *
 * The ledger's pointer is the one commit point. It says which version serves and which episodes are consumed, and carries
 * the events that tell of it, so that a stop at any moment leaves the state before an update or after it.
 */
export function onlineLearner(options: OnlineLearnerOptions): OnlineLearner {
  if (options.mode === "off") return idleLearner(options);
  const learner = new RunningLearner(options);
  return {
    name: "online-learner",
    hooks: {
      beforeModel({ request, sessionId }) {
        learner.tools = request.tools;
        const policyVersion = learner.versionFor(sessionId);
        return policyVersion === undefined ? undefined : { ...request, policyVersion };
      },
    },
    setup: (context) => learner.start(context),
    settled: () => learner.settled(),
    pause: () => learner.pause(),
    resume: () => learner.resume(),
    rollback: (version) => learner.rollback(version),
    unlearn: (userId) => learner.unlearn(userId),
    learnFromAgain: (userId) => learner.learnFromAgain(userId),
    replay: (version) => learner.replay(version),
    explain: (of) => learner.explain(of),
    isHeldOut: (sessionId) => learner.isHeldOut(sessionId),
    releaseUser: (userId) => learner.releaseUser(userId),
    report: () => learner.report(),
    stop: () => learner.stop(),
  };
}

async function isOff(): Promise<never> {
  throw new AgentError("learner/off", "a learner that is off does nothing; make it in the mode shadow or live");
}

function idleLearner({ policy }: OnlineLearnerOptions): OnlineLearner {
  return {
    name: "online-learner",
    settled: async () => {},
    pause: () => {},
    resume: () => {},
    rollback: async (version) => policy.serve(version),
    unlearn: isOff,
    learnFromAgain: isOff,
    replay: isOff,
    explain: isOff,
    isHeldOut: () => false,
    releaseUser: isOff,
    report: () => ({
      ...NO_COUNTS,
      version: policy.serving,
      meanReward: 0,
      pending: 0,
      lift: {},
      alarms: [],
      quarantined: {},
    }),
    stop: async () => {},
  };
}
