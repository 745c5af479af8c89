import { basename } from "node:path";
import type { OnProgress } from "@afterstate/learner";
import type { Progress } from "./progress.js";

/** Smaller files are there at once. In bytes. */
const WORTH_TELLING = 10_000_000;

/** Tells of a download, or of the reading of a file, at its beginning and at each tenth. */
export function tellModelProgress(report: (progress: Progress) => void): OnProgress {
  let told = "";
  return ({ stage, file, done, total }) => {
    if (total < WORTH_TELLING || done >= total) return;
    const tenth = Math.floor((10 * done) / total);
    const what = stage === "download" ? `downloading ${file}` : `reading ${basename(file)}`;
    const text = `${what}: ${10 * tenth} % of ${Math.round(total / 1e6)} MB`;
    if (text === told) return;
    told = text;
    report({ type: "loading", text });
  };
}
