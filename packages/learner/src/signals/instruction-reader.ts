import { readClauses } from "./clauses.js";

/** −1 when the user had to say how it should have been done; undefined otherwise. */
export function readInstruction(reply: string): -1 | undefined {
  return readClauses(reply).some(({ kind }) => kind === "instruction") ? -1 : undefined;
}
