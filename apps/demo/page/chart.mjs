// Draws a share over sessions as SVG: a line and its 95 % band for each arm.
const WIDTH = 520;
const HEIGHT = 290;
const LEFT = 44;
const RIGHT = 58;
const TOP = 12;
const BOTTOM = 26;

const element = (name, attributes, text) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
};

/**
 * A chart of `series`: by arm, points of `session` and `estimate` { value, low, high, n }.
 * `total` is the last session of the axis; `label` says what is drawn to those who do not see it.
 */
export function drawChart(series, total, label) {
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  const end = Math.max(1, total, ...Object.values(series).flatMap((points) => points.map(({ session }) => session)));
  const x = (session) => LEFT + (session / end) * (WIDTH - LEFT - RIGHT);
  const y = (share) => TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    svg.append(element("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(share), y2: y(share) }));
    svg.append(
      element("text", { class: "tick", x: LEFT - 8, y: y(share) + 4, "text-anchor": "end" }, `${share * 100} %`),
    );
  }
  for (const session of total === 0 ? [0] : [0, Math.round(end / 2), end]) {
    const text = session === end ? `${session} sessions` : `${session}`;
    svg.append(element("text", { class: "tick", x: x(session), y: HEIGHT - 6, "text-anchor": "middle" }, text));
  }
  const drawn = ["control", "learner"].filter((arm) => series[arm].length > 0);
  for (const arm of drawn) drawArm(svg, arm, series[arm], x, y);
  placeValues(svg, drawn, series, x, y);
  if (drawn.length === 0) {
    svg.append(
      element(
        "text",
        { class: "empty", x: WIDTH / 2 - 7, y: HEIGHT / 2, "text-anchor": "middle" },
        "nothing measured yet",
      ),
    );
  }
  return svg;
}

function drawArm(svg, arm, points, x, y) {
  const at = (key) => points.map(({ session, estimate }) => `${x(session)},${y(estimate[key])}`);
  svg.append(element("polygon", { class: `band ${arm}`, points: [...at("high"), ...at("low").reverse()].join(" ") }));
  svg.append(element("polyline", { class: `curve ${arm}`, points: at("value").join(" ") }));
  for (const { session, estimate } of points) {
    const mark = element("circle", { class: `mark ${arm}`, cx: x(session), cy: y(estimate.value), r: 4 });
    const interval = `${Math.round(estimate.low * 100)}–${Math.round(estimate.high * 100)}`;
    const title = `session ${session}: ${Math.round(estimate.value * 100)} % (${interval}) of ${estimate.n} questions`;
    mark.append(element("title", {}, title));
    svg.append(mark);
  }
}

/** The last value of each arm, at the right of its line; two that would touch are moved apart. */
function placeValues(svg, arms, series, x, y) {
  const values = arms
    .map((arm) => ({ arm, last: series[arm].at(-1) }))
    .map(({ arm, last }) => ({
      arm,
      x: x(last.session) + 9,
      y: y(last.estimate.value) + 5,
      value: last.estimate.value,
    }))
    .sort((a, b) => a.y - b.y);
  const [upper, lower] = values;
  if (lower !== undefined && Math.abs(upper.x - lower.x) < 40) lower.y = Math.max(lower.y, upper.y + 16);
  for (const value of values) {
    const text = `${Math.round(value.value * 100)} %`;
    svg.append(element("text", { class: `value ${value.arm}`, x: value.x, y: value.y }, text));
  }
}
