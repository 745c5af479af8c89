import { liveFrame } from "./live-frame.js";
import { emptyView, type LiveView, nextView } from "./live-view.js";
import { percent } from "./numerals.js";
import type { Display, Progress } from "./progress.js";
import { summaryTable } from "./summary-table.js";

/** What the display needs of a terminal; `process.stdout` is one. */
export interface TerminalOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";
const FRAME_MS = 100;

/** Shows progress to a person: one picture that is redrawn in place on a terminal, plain lines elsewhere. */
export function terminalDisplay(output: TerminalOutput): Display {
  return output.isTTY === true ? liveDisplay(output) : lineDisplay(output);
}

function lineDisplay(output: TerminalOutput): Display {
  return {
    show(progress) {
      for (const line of plainLines(progress)) output.write(`${line}\n`);
    },
    close: () => {},
  };
}

function liveDisplay(output: TerminalOutput): Display {
  let view: LiveView = emptyView;
  let drawn = 0;
  let live = false;
  let timer: NodeJS.Timeout | undefined;

  const erase = () => {
    if (drawn > 0) output.write(`\x1b[${drawn}A\r\x1b[J`);
    drawn = 0;
  };
  const draw = () => {
    timer = undefined;
    erase();
    const lines = liveFrame(view, output.columns ?? 80);
    output.write(`${HIDE_CURSOR}${lines.join("\n")}\n`);
    drawn = lines.length;
  };
  const stop = (keep: boolean) => {
    clearTimeout(timer);
    timer = undefined;
    if (live && keep) draw();
    else erase();
    if (live) output.write(SHOW_CURSOR);
    live = false;
    drawn = 0;
  };

  return {
    show(progress) {
      view = nextView(view, progress);
      if (progress.type === "evaluating") live = true;
      if (progress.type === "summary") stop(true);
      const lines = isPermanent(progress) ? plainLines(progress) : [];
      if (lines.length > 0) {
        erase();
        for (const line of lines) output.write(`${line}\n`);
      }
      if (live) timer ??= setTimeout(draw, FRAME_MS);
    },
    close: () => stop(false),
  };
}

/** What stays on the screen above the live picture. */
function isPermanent(progress: Progress): boolean {
  if (progress.type === "message") return progress.arm === "person";
  return ["loading", "ready", "rollback", "trouble", "summary"].includes(progress.type);
}

/** One progress object as lines of plain text; none for what a log does not need. */
export function plainLines(progress: Progress): readonly string[] {
  switch (progress.type) {
    case "loading":
      return [`${progress.text} …`];
    case "ready":
      return [
        `policy: ${progress.parameters.toLocaleString("en")} parameters on ${progress.backend}, serving ${progress.policyVersion}`,
        `page:   ${progress.page}`,
        ...(progress.data === undefined ? [] : [`data:   ${progress.data}`]),
      ];
    case "evaluation": {
      const { arm, session, policyVersion, success, preference, toolRate } = progress;
      const measured = `success ${percent(success.value)}, preference held ${percent(preference.value)}, tool rate ${percent(toolRate.value)}`;
      return [`${arm} after ${session} sessions, ${policyVersion}: ${measured} of ${success.n} held-out questions`];
    }
    case "session": {
      const step = Math.max(1, Math.round(progress.total / 20));
      if (progress.index % step !== 0 && progress.index !== progress.total) return [];
      return [`${progress.arm} session ${progress.index} of ${progress.total}, serving ${progress.policyVersion}`];
    }
    case "update":
      return progress.promoted
        ? []
        : [`${progress.arm}: candidate ${progress.candidate} does not serve: ${progress.reason ?? "held back"}`];
    case "rollback":
      return [`${progress.arm}: back from ${progress.from} to ${progress.to}: ${progress.reason}`];
    case "message":
      return progress.arm === "person" && progress.from !== "user" ? [`${progress.name}: ${progress.text}`] : [];
    case "trouble":
      return [progress.text];
    case "summary":
      return summaryTable(progress);
    case "evaluating":
      return [];
  }
}
