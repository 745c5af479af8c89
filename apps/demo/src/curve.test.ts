import { expect, it } from "vitest";
import { drawBar, drawCurve, resample } from "./curve.js";

it("draws a share as blocks, an eighth of a line at a time", () => {
  // two lines of 8 eighths: 0.25 · 16 = 4 eighths, 0.5 · 16 = 8, 0.75 · 16 = 12, 1 · 16 = 16
  expect(drawCurve([0.25, 0.5, 0.75, 1], 2)).toEqual(["  ▄█", "▄███"]);
});

it("shows zero as a thin line and a missing value as nothing", () => {
  expect(drawCurve([0, undefined], 1)).toEqual(["▁ "]);
});

it("reads a curve at equal places, linear between its points and nothing after the last", () => {
  const points = [
    { x: 0, y: 0 },
    { x: 50, y: 1 },
  ];
  // places 0, 25, 50, 75, 100 of 100 sessions
  expect(resample(points, 5, 100)).toEqual([0, 0.5, 1, undefined, undefined]);
  expect(resample([], 2, 100)).toEqual([undefined, undefined]);
});

it("fills a bar by the fraction, within its ends", () => {
  expect(drawBar(0.5, 4)).toBe("██░░");
  expect(drawBar(-1, 2)).toBe("░░");
  expect(drawBar(7, 2)).toBe("██");
});
