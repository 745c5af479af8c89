import type { Change, Estimate } from "./progress.js";

/** A share as whole percent: `26 %`. */
export const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** A share with its interval: `26 % (22–31)`. */
export const percentWithInterval = ({ value, low, high }: Estimate): string =>
  `${percent(value)} (${Math.round(low * 100)}–${Math.round(high * 100)})`;

/** A difference of shares: `+65 points (+60 to +70)`. */
export const points = ({ value, low, high }: Change): string =>
  `${signed(value)} points (${signed(low)} to ${signed(high)})`;

/** A number in −1 … +1 with its sign: `+0.85`. */
export const signedDecimal = (value: number): string => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;

const signed = (share: number) => {
  const whole = Math.round(share * 100);
  return whole === 0 ? "0" : `${whole < 0 ? "−" : "+"}${Math.abs(whole)}`;
};
