import type { ToolCall } from "./message.js";
import type { ToolResult } from "./step.js";

/** Steps in a row that may fail alike before the run stops. */
const MAX_EQUAL_FAILURES = 3;

/** A breaker that opens when the same tool fails on the same input with the same error in several steps in a row. */
export function repeatedErrors(): {
  /** Takes one step's calls and their results. @returns whether the run should stop. */
  isRepeated(calls: readonly ToolCall[], results: readonly ToolResult[]): boolean;
} {
  let streaks: ReadonlyMap<string, number> = new Map();
  return {
    isRepeated(calls, results) {
      if (streaks.size === 0 && !results.some(({ isError }) => isError)) return false;
      const next = new Map<string, number>();
      results.forEach((result, index) => {
        if (!result.isError) return;
        const { name, input, invalidInput } = calls[index]!;
        const failure = JSON.stringify([name, input, invalidInput, result.content]);
        next.set(failure, (streaks.get(failure) ?? 0) + 1);
      });
      streaks = next;
      return [...next.values()].some((count) => count >= MAX_EQUAL_FAILURES);
    },
  };
}
