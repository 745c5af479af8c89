import { percentWithInterval, points } from "./numerals.js";
import type { Comparison, Summary } from "./progress.js";

/** The table that ends a run: before and after, beside the control. */
export function summaryTable(summary: Summary): readonly string[] {
  const { learner, control } = summary;
  const rows = [
    ["", "", "before", "after", "change"],
    ...rowsOf("agent", learner),
    ...(control === undefined ? [] : rowsOf("control", control)),
  ];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]!.length)) + 2);
  const table = rows.map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("")}`.trimEnd(),
  );
  return [
    "",
    ...table,
    "",
    `  ${learner.before.success.n} held-out questions, never trained on; 95 % intervals.`,
    ...(control === undefined ? [] : ["  The control learned from votes shuffled between steps, and read no hints."]),
    `  ${count(summary.sessions, "session")}, ${count(summary.updates, "update")}, ${count(summary.refused, "request")} refused, ` +
      `${count(summary.samplesLost, "sample")} lost, ${Math.round(summary.seconds)} s on ${summary.backend}.`,
    ...(summary.cut === undefined ? [] : [`  Ended early: ${summary.cut}.`]),
    "",
  ];
}

function rowsOf(name: string, { before, after, change }: Comparison): readonly string[][] {
  return (["success", "preference"] as const).map((measure, index) => [
    index === 0 ? name : "",
    measure,
    percentWithInterval(before[measure]),
    percentWithInterval(after[measure]),
    points(change[measure]),
  ]);
}

const count = (n: number, noun: string) => `${n} ${noun}${n === 1 ? "" : "s"}`;
