const STATIC = /^\s*(?:import|export)\s(?:[\w\s{},*$]*?\sfrom\s*)?["']([^"'\n]+)["']/gm;
const SIDE_EFFECT = /^\s*import\s*["']([^"'\n]+)["']/gm;
const DYNAMIC = /\b(?:import|require(?:\.resolve)?)\(\s*["'`]([^"'`\n]+)["'`]/g;
const COMMENT_LINE = /^\s*(?:\/\/|\*|\/\*).*$/gm;

/** The module specifiers that a source text imports or re-exports, types included, without duplicates. */
export function importsOf(source: string): readonly string[] {
  const code = source.replace(COMMENT_LINE, "");
  const found = new Set<string>();
  for (const pattern of [STATIC, SIDE_EFFECT, DYNAMIC]) {
    for (const match of code.matchAll(pattern)) found.add(match[1]!);
  }
  return [...found];
}
