import { expectedRewards, type LearnedDecision, weighed } from "./learned-decision.js";
import {
  doublyRobust,
  inversePropensity,
  type PolicyEstimate,
  selfNormalised,
  type ValueEstimate,
} from "./off-policy-value.js";

/** What a policy would have brought, estimated three ways from the same logged choices. */
export interface DecisionEstimate {
  readonly policy: string;
  readonly ips: PolicyEstimate;
  readonly snips: PolicyEstimate;
  readonly doublyRobust: PolicyEstimate;
}

/**
 * What each alternative would have brought had it always been taken, and what the choice would that now looks best by the features. The
 * latter was learned from the same choices, and its estimate is a little too good.
 */
export function estimateDecision(decision: LearnedDecision): readonly DecisionEstimate[] {
  const { alternatives } = decision;
  const best = (features: Readonly<Record<string, number>>) => {
    const expected = expectedRewards(decision, alternatives, features);
    return alternatives[expected.indexOf(Math.max(...expected))];
  };
  const policies = [
    ...alternatives.map((one) => ({ policy: `always ${one}`, of: (a: string) => (a === one ? 1 : 0) })),
    { policy: "learned", of: (a: string, x: Readonly<Record<string, number>>) => (a === best(x) ? 1 : 0) },
  ];
  return policies.map(({ policy, of }) => {
    const choices = weighed(decision, of);
    return {
      policy,
      ips: inversePropensity(choices),
      snips: selfNormalised(choices),
      doublyRobust: doublyRobust(choices),
    };
  });
}

/** A few lines on a decision. */
export function describeDecision(decision: LearnedDecision): string {
  const { name, choices, alternatives } = decision;
  const mean = choices.reduce((sum, { reward }) => sum + reward, 0) / Math.max(1, choices.length);
  const shares = alternatives.map((one) => {
    const recent = choices.slice(-100);
    const taken = recent.filter(({ choice }) => choice === one).length;
    return `${one} ${Math.round((100 * taken) / Math.max(1, recent.length))} %`;
  });
  const lines = estimateDecision(decision).map(
    ({ policy, doublyRobust: { value, lift } }) => `  ${policy}: reward ${say(value)}, lift ${say(lift)}`,
  );
  return [
    `${name}: ${choices.length} choices, reward ${mean.toFixed(3)}; of the last hundred ${shares.join(", ")}`,
    ...lines,
  ].join("\n");
}

function say({ value, low, high }: ValueEstimate): string {
  return `${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
}
