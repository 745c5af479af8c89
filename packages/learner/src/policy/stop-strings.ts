/** Where the first of some strings begins in a text, or might begin at its end; else the whole length. What comes before is surely kept. */
export function beforeAny(text: string, strings: readonly string[]): number {
  return strings.reduce((least, string) => Math.min(least, before(text, string)), text.length);
}

function before(text: string, string: string): number {
  const start = text.indexOf(string);
  if (start !== -1) return start;
  for (let length = Math.min(string.length - 1, text.length); length > 0; length--) {
    if (string.startsWith(text.slice(-length))) return text.length - length;
  }
  return text.length;
}

/** A text up to where the first of some strings begins in it; undefined when it holds none. */
export function cutAtStop(text: string, strings: readonly string[]): string | undefined {
  const starts = strings.map((string) => text.indexOf(string)).filter((start) => start !== -1);
  return starts.length === 0 ? undefined : text.slice(0, Math.min(...starts));
}
