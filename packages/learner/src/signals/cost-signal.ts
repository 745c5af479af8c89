import { AgentError, type StepCost } from "@afterstate/core";

/** What a step may cost before it weighs. A unit that is left out does not count. */
export interface CostOptions {
  readonly dollarsPerUnit?: number;
  /** Of input and output together. */
  readonly tokensPerUnit?: number;
  /** Differs from machine to machine and run to run: a learner that uses it is not the same run again. */
  readonly msPerUnit?: number;
  /** The most that cost can take from a step's reward, 0–1: below what decides, so that no cheap failure beats a dear success. */
  readonly weight: number;
}

/** The reward of a step's cost, −weight … 0. */
export type CostSignal = (cost: StepCost) => number;

/**
 * Shapes rewards by what steps cost: added to what was judged, never in its place.
 *
 *   r = −w (1 − e^−u)      u = dollars/dollarsPerUnit + tokens/tokensPerUnit + ms/msPerUnit
 *
 * @throws AgentError `signal/bad-option`.
 */
export function costSignal({ weight, ...units }: CostOptions): CostSignal {
  if (!(weight >= 0 && weight < 1))
    throw new AgentError("signal/bad-option", `the weight of cost must be 0 or more and less than 1, not ${weight}`);
  for (const [name, unit] of Object.entries(units))
    if (unit !== undefined && !(unit > 0))
      throw new AgentError("signal/bad-option", `${name} must be more than 0, not ${unit}; leave it out instead`);
  const { dollarsPerUnit, tokensPerUnit, msPerUnit } = units;
  return ({ dollars, inputTokens, outputTokens, durationMs }) => {
    const spent = [
      [dollars, dollarsPerUnit],
      [inputTokens + outputTokens, tokensPerUnit],
      [durationMs, msPerUnit],
    ] as const;
    const used = spent.reduce((sum, [amount, unit]) => sum + (unit === undefined ? 0 : amount / unit), 0);
    return used === 0 ? 0 : -weight * (1 - Math.exp(-used));
  };
}
