// What the results of all arms and seeds say.
import { interval, mean, pairedPermutation } from "../../statistics.mjs";

const MOST_SESSIONS = { hybrid: 40, "text and weights": 3 };
const HELD_SHARE = 0.8;
/** Success of each arm that learns from hints may be so much below the best one. */
const SUCCESS_LOSS = 0.02;
const SIGNIFICANT = 0.05;

/**
 * @param significant what p of the comparisons must be below; 1 where there are too few seeds for any, and the mean decides.
 * @returns one line for each arm, and the marks. What was not held within the budget counts as the budget, which favours the slower arm.
 */
export function summarise(results, { significant = SIGNIFICANT } = {}) {
  const of = (arm) => results.filter((result) => result.arm === arm).sort((a, b) => a.seed - b.seed);
  const until = (arm) => of(arm).map(({ sessions, budget }) => sessions ?? budget);
  /** Over the seeds that both have. */
  const before = (fewer, more) => {
    const pairs = of(fewer).flatMap((a) => of(more).flatMap((b) => (a.seed === b.seed ? [[a, b]] : [])));
    const [a, b] = [0, 1].map((side) => pairs.map((pair) => pair[side].sessions ?? pair[side].budget));
    return pairedPermutation(a, b);
  };
  const arms = [...new Set(results.map(({ arm }) => arm))].map((arm) => ({
    arm,
    seeds: of(arm).length,
    held: of(arm).filter(({ sessions }) => sessions !== null).length,
    sessions: interval(until(arm)),
    each: of(arm).map(({ sessions }) => sessions),
    success: interval(of(arm).map(({ end }) => end.success)),
    preference: interval(of(arm).map(({ end }) => end.preference)),
    ...(of(arm)[0].withoutText && {
      withoutText: interval(of(arm).map(({ withoutText }) => withoutText.preference)),
      successWithoutText: interval(of(arm).map(({ withoutText }) => withoutText.success)),
    }),
  }));
  const one = (name) => arms.find(({ arm }) => arm === name);
  const tests = { hybridBeforeReward: before("hybrid", "reward"), hybridBeforeHints: before("hybrid", "hints") };
  const best = Math.max(...arms.map(({ success }) => success.mean));
  const learning = ["hybrid", "text and weights"];
  const marks = {
    hybridFewer: ["reward", "hints"].every((arm) => mean(until("hybrid")) < mean(until(arm))),
    hybridSignificantly: Math.max(tests.hybridBeforeReward, tests.hybridBeforeHints) < significant,
    hybridAtMost40: one("hybrid").sessions.mean <= MOST_SESSIONS.hybrid,
    togetherAtMost3: mean(until("text and weights")) <= MOST_SESSIONS["text and weights"],
    weightsHoldWithoutText: one("text and weights").withoutText.low > HELD_SHARE,
    textAloneDoesNot: one("text").withoutText.high < HELD_SHARE,
    successKept: learning.every((arm) => one(arm).success.mean >= best - SUCCESS_LOSS),
    controlNever: one("control").held === 0,
  };
  return { summary: true, arms, tests, marks, withinMark: Object.values(marks).every(Boolean) };
}
