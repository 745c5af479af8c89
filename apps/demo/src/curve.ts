const EIGHTHS = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/** A point of a curve: `x` sessions, `y` from 0 to 1. */
export interface CurvePoint {
  readonly x: number;
  readonly y: number;
}

/** The curve at `columns` equal places from 0 to `end`, linear between points; undefined after the last point. [columns] */
export function resample(points: readonly CurvePoint[], columns: number, end: number): readonly (number | undefined)[] {
  return Array.from({ length: columns }, (_, column) => {
    const x = columns === 1 ? end : (column / (columns - 1)) * end;
    const right = points.findIndex((point) => point.x >= x);
    if (right < 0) return undefined;
    const b = points[right]!;
    const a = points[right - 1] ?? b;
    return b.x === a.x ? b.y : a.y + ((b.y - a.y) * (x - a.x)) / (b.x - a.x);
  });
}

/** Draws values between 0 and 1 as block characters, `height` lines, top first. A place without a value is blank. */
export function drawCurve(values: readonly (number | undefined)[], height: number): readonly string[] {
  return Array.from({ length: height }, (_, line) => {
    const below = height - 1 - line;
    return values
      .map((value) => {
        if (value === undefined) return " ";
        // A value of zero still shows a thin line, so that it differs from no value.
        const eighths = Math.max(1, Math.round(value * height * 8)) - below * 8;
        return EIGHTHS[Math.min(8, Math.max(0, eighths))];
      })
      .join("");
  });
}

/** A progress bar of `width` characters; `fraction` from 0 to 1. */
export function drawBar(fraction: number, width: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, fraction)) * width);
  return "█".repeat(filled) + "░".repeat(width - filled);
}
