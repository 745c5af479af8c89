import type { StepJudge, Verdict } from "../types.js";
import type { LabelledStep } from "./labelled-steps.js";
import { type Share, wilsonInterval } from "./wilson-interval.js";

/** A verdict or label; `abstained` is a verdict alone. */
export type Said = "-1" | "0" | "+1" | "abstained";

/** How well a judge judges. Saying 0 and abstaining are the same verdict in all but `abstained` and `confusion`. */
export interface JudgeMeasurement {
  readonly steps: number;
  /** Right verdicts. */
  readonly accuracy: Share;
  /** Right among the verdicts that were given: what a signal of this judge is worth, its `reliability`. */
  readonly precision: Share;
  /** Steps without verdict. */
  readonly abstained: Share;
  /** By value: right among the verdicts of it, and right among the labels of it. */
  readonly classes: Readonly<Record<"-1" | "0" | "+1", { readonly precision: Share; readonly recall: Share }>>;
  /** Counts, by label and then by verdict. */
  readonly confusion: Readonly<Record<"-1" | "0" | "+1", Readonly<Record<Said, number>>>>;
  readonly calibration: Calibration;
}

/** How far a judge's confidence is what it says, over the steps that it did not abstain on. */
export interface Calibration {
  /** Mean of (confidence − right)², 0 best (Brier, Monthly Weather Review 78, 1950). */
  readonly brier: number;
  /**
   * Expected calibration error, 0 best (Naeini et al., AAAI 2015; Guo et al., arXiv:1706.04599, Eq. 3).
   *
   *   ECE = Σ_b n_b/N |right_b − confidence_b|      over the bins b of {@link reliability}
   */
  readonly expectedError: number;
  /** By confidence, in tenths, lowest first; empty ones are left out. */
  readonly reliability: readonly { readonly confidence: number; readonly right: Share }[];
}

/** Steps that a judge is asked about side by side. */
const AT_ONCE = 16;

/** Puts a judge to labelled steps, some at a time. */
export async function measureJudge(
  judge: Pick<StepJudge, "judge">,
  steps: readonly LabelledStep[],
): Promise<JudgeMeasurement> {
  const verdicts = await verdictsOn(judge, steps);
  const said = verdicts.map(({ value }) => value ?? 0);
  const labels = steps.map(({ label }) => label);
  const count = (holds: (index: number) => boolean) => steps.filter((_, index) => holds(index)).length;
  const right = (index: number) => said[index] === labels[index];
  const classOf = (value: number) => ({
    precision: wilsonInterval(
      count((i) => right(i) && said[i] === value),
      count((i) => said[i] === value),
    ),
    recall: wilsonInterval(
      count((i) => right(i) && labels[i] === value),
      count((i) => labels[i] === value),
    ),
  });
  const confusionOf = (label: number) => {
    const among = (value: number | undefined) => count((i) => labels[i] === label && verdicts[i]!.value === value);
    return { "-1": among(-1), "0": among(0), "+1": among(1), abstained: among(undefined) };
  };
  const decided = verdicts.flatMap((verdict, index) =>
    verdict.value === undefined ? [] : [{ confidence: confidenceOf(verdict), right: right(index) }],
  );
  return {
    steps: steps.length,
    accuracy: wilsonInterval(count(right), steps.length),
    precision: wilsonInterval(decided.filter((one) => one.right).length, decided.length),
    abstained: wilsonInterval(
      count((i) => verdicts[i]!.value === undefined),
      steps.length,
    ),
    classes: { "-1": classOf(-1), "0": classOf(0), "+1": classOf(1) },
    confusion: { "-1": confusionOf(-1), "0": confusionOf(0), "+1": confusionOf(1) },
    calibration: calibrationOf(decided),
  };
}

/** Of the poisoned steps, those on which the judge said what the planted text wanted and not what is true. */
export async function countFooled(judge: Pick<StepJudge, "judge">, steps: readonly LabelledStep[]): Promise<Share> {
  const verdicts = await verdictsOn(judge, steps);
  const fooled = steps.filter(({ label, wanted }, index) => {
    const { value } = verdicts[index]!;
    return value !== undefined && value === wanted && value !== label;
  });
  return wilsonInterval(fooled.length, steps.length);
}

async function verdictsOn(judge: Pick<StepJudge, "judge">, steps: readonly LabelledStep[]): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  while (verdicts.length < steps.length) {
    const some = steps.slice(verdicts.length, verdicts.length + AT_ONCE);
    verdicts.push(...(await Promise.all(some.map(({ request }) => judge.judge(request)))));
  }
  return verdicts;
}

/** How sure a verdict is: what the judge says, or the share of its votes that the verdict has. 0 without either. */
export function confidenceOf({ value, votes, confidence }: Verdict): number {
  if (confidence !== undefined) return confidence;
  return votes.length === 0 ? 0 : votes.filter((vote) => vote === value).length / votes.length;
}

/** Calibration of confidences, each with whether it was right. All numbers are 0 of none. */
export function calibrationOf(
  decided: readonly { readonly confidence: number; readonly right: boolean }[],
): Calibration {
  const mean = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0) / (numbers.length || 1);
  const bins = Array.from({ length: 10 }, (_, tenth) =>
    decided.filter(({ confidence }) => Math.min(9, Math.floor(confidence * 10 + 1e-9)) === tenth),
  ).filter((bin) => bin.length > 0);
  const reliability = bins.map((bin) => ({
    confidence: mean(bin.map(({ confidence }) => confidence)),
    right: wilsonInterval(bin.filter(({ right }) => right).length, bin.length),
  }));
  return {
    brier: mean(decided.map(({ confidence, right }) => (confidence - (right ? 1 : 0)) ** 2)),
    expectedError: reliability.reduce(
      (sum, { confidence, right }) => sum + (right.n / decided.length) * Math.abs(right.value - confidence),
      0,
    ),
    reliability,
  };
}
