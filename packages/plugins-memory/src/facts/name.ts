const WORD = String.raw`(?:\p{Lu}[\p{L}\p{M}]*(?:['’-]\p{L}[\p{L}\p{M}]*)*|\p{Lo}+)`;
const NAME = new RegExp(`^${WORD}(?: (?:(?:van|von|der|den|de|da|di|la|le|bin|al) ){0,2}${WORD}){0,3}`, "u");
/** What may follow a name that was not announced as one: "I'm Ann, …", "I'm Ann from Rome", but not "I'm Ann Arbor born". */
const AFTER_NAME = /^\s*(?:$|[,:)(—–]|-\s|(?:from|here|by the way|now|please|again|instead)(?!\p{L}))/u;

/** Words that follow "I'm" or "call me" with a capital and are no names: states, peoples, faiths, days. */
const NOT_NAMES = new Set(
  `sorry fine good great well not ok okay sure happy glad here there back done ready tired sick late lost hungry busy
  new old just still also very so too trying looking working going using getting having being curious confused afraid
  maybe later tomorrow today tonight anytime whenever crazy lucky
  monday tuesday wednesday thursday friday saturday sunday
  american british english scottish welsh irish european african asian latino latina arab arabic german french italian
  spanish portuguese dutch belgian swiss austrian danish swedish norwegian finnish icelandic polish czech slovak
  hungarian romanian bulgarian greek turkish russian ukrainian serbian croatian bosnian slovenian albanian estonian
  latvian lithuanian israeli iranian persian iraqi syrian lebanese egyptian moroccan algerian tunisian nigerian kenyan
  ethiopian ghanaian indian pakistani bangladeshi nepali chinese japanese korean vietnamese thai indonesian malaysian
  filipino filipina singaporean taiwanese australian canadian mexican brazilian argentinian argentine chilean peruvian
  colombian venezuelan cuban californian texan londoner parisian berliner
  christian catholic protestant orthodox muslim jewish hindu buddhist sikh atheist mormon
  democrat republican autistic dyslexic adhd`.split(/\s+/),
);

/**
 * The name that a text starts with, or undefined. A name is one to four capitalised words; a possessive ("Ann's brother") is none.
 *
 * @param announced Whether the words before said that a name follows ("my name is"); "I'm" and "call me" do not.
 */
export function leadingName(text: string, announced: boolean): string | undefined {
  const name = NAME.exec(text)?.[0];
  if (name === undefined || /['’]s(?: |$)/u.test(name)) return undefined;
  const after = text.slice(name.length);
  if (/^['’\p{L}\p{N}]/u.test(after)) return undefined;
  if (announced) return name;
  const first = name.split(" ")[0]!;
  const isAcronym = /^\p{Lu}+$/u.test(first);
  return isAcronym || NOT_NAMES.has(first.toLowerCase()) || !AFTER_NAME.test(after) ? undefined : name;
}
