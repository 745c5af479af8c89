import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { lockDirectory } from "./directory-lock.js";
import type { AgentEvent } from "./event.js";
import { encodeRecords } from "./log-record.js";
import { type LogSegment, readSegment } from "./log-segment.js";
import { scanDirectory, syncDirectory } from "./open-event-log.js";

/**
 * Puts an empty record in the place of each record of some sessions, in the log of a directory that nobody has open: what was said in
 * them is gone from the files, and every other record keeps its offset. Each file is replaced at once; after a stop in between, the same
 * call finishes what is left.
 *
 * @returns how many records were erased.
 * @throws AgentError `log/locked`, `log/corrupt`.
 */
export async function eraseSessions(directory: string, sessionIds: ReadonlySet<string>): Promise<number> {
  const unlock = await lockDirectory(directory);
  try {
    const { segments } = await scanDirectory(directory);
    let erased = 0;
    for (const segment of segments) erased += await eraseFrom(segment, sessionIds);
    return erased;
  } finally {
    await unlock();
  }
}

async function eraseFrom(segment: LogSegment, sessionIds: ReadonlySet<string>): Promise<number> {
  const lines: string[] = [];
  let erased = 0;
  for await (const line of readSegment(segment, 0, segment.count)) {
    const event = JSON.parse(line) as AgentEvent;
    const isErased = sessionIds.has(event.sessionId);
    if (isErased) erased += 1;
    lines.push(isErased ? emptyRecord(segment.first + lines.length) : line.trimEnd());
  }
  if (erased === 0) return 0;
  const temporary = `${segment.path}.tmp`;
  const file = await open(temporary, "w");
  try {
    await file.writeFile(encodeRecords(lines));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, segment.path);
  await syncDirectory(dirname(segment.path));
  return erased;
}

function emptyRecord(offset: number): string {
  const place = { sessionId: "", episodeId: "", stepIndex: -1, policyVersion: "" };
  const event: AgentEvent = { id: `erased#${offset}`, time: 0, ...place, type: "erased" };
  return JSON.stringify(event);
}
