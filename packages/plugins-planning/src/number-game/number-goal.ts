/** Numbers to be combined, each once, into a target. */
export interface NumberGoal {
  readonly target: number;
  readonly numbers: readonly number[];
}

const NUMBERS = String.raw`(?:(?:the|these)\s+)?(?:(?:four\s+)?numbers\s+)?:?\s*(?<numbers>\d{1,2}(?:(?:\s*,\s*|\s+)(?:and\s+)?\d{1,2}){3})(?!\d|[.,]\d|\s*,?\s*(?:and\s+)?\d)`;
const TARGET = String.raw`(?<target>-?\d{1,9})`;
const PATTERNS = [
  String.raw`\b(?:make|get|reach|obtain)\s+${TARGET}\s+(?:from|with|using|out\s+of)\s+${NUMBERS}`,
  String.raw`\b(?:use|using|with|from|combine|take)\s+${NUMBERS}\s*,?\s*(?:to\s+|and\s+)?(?:make|get|reach|obtain)\s+${TARGET}(?!\d|[.,]\d)`,
  String.raw`\b(?:game\s+of\s+24|24\s+game)\b[^\d]{0,40}?${NUMBERS}`,
].map((pattern) => new RegExp(pattern, "i"));
const LARGEST_NUMBER = 13;

/** The goal in texts such as "Make 24 from 4 7 8 8" or "Use 1, 2, 3 and 4 to get 10": four numbers from 1 to 13 and a whole target. */
export function numberGoalOf(text: string): NumberGoal | undefined {
  for (const pattern of PATTERNS) {
    const groups = pattern.exec(text)?.groups;
    if (groups?.numbers === undefined) continue;
    const numbers = groups.numbers.match(/\d+/gu)!.map(Number);
    if (numbers.some((number) => number < 1 || number > LARGEST_NUMBER)) continue;
    return { target: Number(groups.target ?? 24), numbers };
  }
  return undefined;
}

/** The goal in the spelling that stands for it. */
export function numberGoalText({ target, numbers }: NumberGoal): string {
  return `make ${target} from ${numbers.join(" ")}`;
}
