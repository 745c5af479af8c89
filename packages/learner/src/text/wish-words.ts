/**
 * What a wish about answers can be about. Of two unlike wishes of one user about one topic only the newer can hold. Words are singular;
 * the first topic with the most of them in a wish is its topic.
 */
export const TOPICS: readonly (readonly [topic: string, words: ReadonlySet<string>])[] = (
  [
    ["address", "name nickname surname greeting greet sir madam"],
    ["means", "calculator tool search head browser web lookup internet memory"],
    ["language", "english german french spanish italian dutch portuguese chinese japanese translation language"],
    ["tone", "tone polite formal informal friendly emoji casual joke jargon slang"],
    ["length", "short long detail explanation summary chatter filler introduction intro"],
    ["units", "unit decimal currency symbol metre meter mile euro dollar percent"],
    ["sources", "source link reference citation url"],
    ["form", "number sentence working word bullet list table paragraph markdown code prose format text"],
  ] as const
).map(([topic, words]) => [topic, new Set(words.split(" "))]);

/** Topics that are a matter of taste: an answer is not wrong for them. */
export const MATTERS_OF_TASTE: ReadonlySet<string> = new Set(
  TOPICS.map(([topic]) => topic).filter((topic) => topic !== "means"),
);

/** Words that people use for one another when they say how they want an answer: each to the one that stands for it. */
export const SYNONYMS: ReadonlyMap<string, string> = new Map(
  [
    "number figure digit result value total",
    "only just simply solely merely",
    "working calculation step sum reasoning",
    "short shorter brief briefer concise terse",
    "long longer elaborate",
    "detail detailed details",
    "explanation explain explaining",
    "bullet point",
    "friendly friendlier",
    "simple simpler plain",
    "calculator calc",
    "name names",
  ].flatMap((words) => {
    const [first, ...others] = words.split(" ") as [string, ...string[]];
    return others.map((word) => [word, first] as const);
  }),
);

/** Words that say nothing about what is wished. */
export const FILLER: ReadonlySet<string> = new Set(
  `a about above add address all also always am an and answer any are as ask at back be before but by call can check could did do does doing
  done double each ever every everything extra first for forget forgot from full fully future get give giving go going had has have
  how i i'd if in include instead into is it keep kindly leave left less let like made make may me might more must my
  need next no not now of off on one or order other our out over please pls prefer proper provide put rather refer remember reply respond
  response return say saying see should show so speak start state stick still stop talk tell than thank that the their them
  then there these they thing think this time to too try up us use used using want was we were what when which while
  whole will wish with without would write writing you your yourself complete completely end beginning anymore
  don't didn't doesn't isn't won't shouldn't needn't never skip omit avoid drop remove bit little really actually okay ok`.split(
    /\s+/,
  ),
);
