/** Verb forms after "I" that stay as they are: past tenses and auxiliaries. */
const UNCHANGED = new Set(
  `can could will would shall should may might must cannot can't couldn't won't wouldn't shouldn't mustn't had hadn't did
  didn't was wasn't went saw got came took made met bought left ate grew wrote spoke knew thought found felt kept lost
  moved said told gave ran sold spent won began broke chose drove fell flew forgot heard held led paid put read sent
  slept stood taught understood woke wore`.split(/\s+/),
);
const IRREGULAR: Readonly<Record<string, string>> = {
  am: "is",
  have: "has",
  "haven't": "hasn't",
  do: "does",
  "don't": "doesn't",
  go: "goes",
  "ain't": "isn't",
};
const CONTRACTED: Readonly<Record<string, string>> = { m: "is", ve: "has", ll: "will", d: "would" };
const ADVERB = "always|never|also|really|usually|often|only|still|just|sometimes|now|currently|absolutely|both";
const FIRST_PERSON = new RegExp(
  String.raw`(?<![\p{L}'’])(?:I['’](?<contracted>m|ve|ll|d)|I(?<adverb>(?: (?:${ADVERB}))*) (?<verb>[\p{L}]+(?:['’]t)?)|(?<word>I|my|mine|me|myself))(?![\p{L}'’])`,
  "giu",
);

/** A statement in the first person as a sentence about the user: "I like my tea" becomes "The user likes their tea." */
export function thirdPerson(statement: string): string {
  let mentioned = false;
  const told = statement.trim().replace(FIRST_PERSON, (...match) => {
    const { contracted, adverb, verb, word } = match.at(-1) as Record<string, string | undefined>;
    const again = mentioned;
    mentioned = true;
    if (contracted !== undefined) return `the user ${CONTRACTED[contracted.toLowerCase()]}`;
    if (verb !== undefined) return `the user${adverb ?? ""} ${conjugated(verb)}`;
    switch (word?.toLowerCase()) {
      case "my":
        return again ? "their" : "the user's";
      case "mine":
        return again ? "theirs" : "the user's";
      case "me":
        return again ? "them" : "the user";
      case "myself":
        return "themselves";
      default:
        return "the user";
    }
  });
  return `${told.charAt(0).toUpperCase()}${told.slice(1).replace(/[\s.!]+$/u, "")}.`;
}

/** The form of a verb after "the user". */
function conjugated(verb: string): string {
  const plain = verb.toLowerCase().replace("’", "'");
  if (UNCHANGED.has(plain) || plain.endsWith("ed")) return verb;
  const irregular = IRREGULAR[plain];
  if (irregular !== undefined) return irregular;
  if (/(?:[sxz]|ch|sh|o)$/u.test(plain)) return `${verb}es`;
  return /[^aeiou]y$/u.test(plain) ? `${verb.slice(0, -1)}ies` : `${verb}s`;
}
