import { type CurvePoint, drawBar, drawCurve, resample } from "./curve.js";
import { type ArmView, FEED_LINES, type FeedLine, type LiveView } from "./live-view.js";
import { percent, signedDecimal } from "./numerals.js";

const CURVE_HEIGHT = 5;
const RECENT = 12;
const NAMES = { learner: "learning", control: "control", person: "chatting" } as const;

/** The lines of the live part of a terminal `columns` wide. No line is wider than that. */
export function liveFrame(view: LiveView, columns: number): readonly string[] {
  const width = Math.min(columns, 100) - 1;
  const arm = view.arms[view.arm];
  const lines = ["", ...headline(view, arm, width), "", ...curves(arm, width), "", ...feed(view.feed), ""];
  return lines.map((line) => [...line].slice(0, width).join(""));
}

function headline(view: LiveView, arm: ArmView, width: number): readonly string[] {
  const name = `  ${NAMES[view.arm].padEnd(9)}`;
  const bar = drawBar(arm.total === 0 ? 0 : arm.session / arm.total, Math.max(10, Math.min(30, width - 60)));
  const rewards = arm.rewards.slice(-RECENT);
  const reward = rewards.length === 0 ? "" : ` · reward ${signedDecimal(mean(rewards))}`;
  const asking =
    view.evaluating === undefined
      ? ""
      : ` · asking held-out questions: ${view.evaluating.completed} of ${view.evaluating.total}`;
  return [
    `${name} ${bar} session ${arm.session} of ${arm.total}${asking}`,
    `            serving ${arm.policyVersion} · ${arm.updates} updates, ${arm.promoted} promoted · ${arm.refused} refused${reward}`,
  ];
}

function curves(arm: ArmView, width: number): readonly string[] {
  const charts: readonly [string, readonly CurvePoint[]][] = [
    ["success", arm.success],
    ["preference held", arm.preference],
    ["tool rate", arm.toolRate],
  ];
  const chartWidth = Math.max(8, Math.floor((width - 2) / charts.length) - 2);
  const columnsOfLines = charts.map(([name, points]) => {
    const last = points.at(-1);
    const label = last === undefined ? name : `${name} ${percent(points[0]!.y)} → ${percent(last.y)}`;
    const drawn = drawCurve(resample(points, chartWidth, arm.total), CURVE_HEIGHT);
    return [label, ...drawn].map((line) => line.padEnd(chartWidth + 2).slice(0, chartWidth + 2));
  });
  return Array.from({ length: CURVE_HEIGHT + 1 }, (_, line) => `  ${columnsOfLines.map((c) => c[line]).join("")}`);
}

/** Always as many lines, so that the picture does not jump. */
function feed(lines: readonly FeedLine[]): readonly string[] {
  return Array.from({ length: FEED_LINES }, (_, index) => {
    const line = lines[index];
    return line === undefined ? "" : `  ${line.name.slice(0, 10).padEnd(10)} ${line.text.replace(/\s+/g, " ")}`;
  });
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
