/** One clause of a sentence. */
export interface Clause {
  readonly text: string;
  /** The clause with all that follows it in its sentence. */
  readonly rest: string;
  /** Whether it ends in a question mark. */
  readonly isQuestion: boolean;
}

/** A sentence ends at its mark before a space, or at a line break; not at the point of an abbreviation. */
const SENTENCE_END = /(?<!\b(?:St|Mr|Mrs|Ms|Dr|Prof|Jr|Sr|vs|e\.g|i\.e)\.)(?<=[.!?…;][)"'”’]*)\s+|\s*\n\s*/u;
/** A clause starts where, after a comma, dash or conjunction, somebody begins to speak of himself or asks for something. */
const CLAUSE_START =
  /(?:,\s*(?:(?:and|but|so)\s+)?|\s+(?:and|but|so)\s+|\s+[-–—]\s+)(?=(?:my|i|i['’]m|call me|please|just|you can|(?:don['’]t |do not )?forget|remember|what(?:['’]s)?|who|how|can you|could you|do you)(?![\p{L}]))/giu;

/** The clauses of a text, sentence by sentence, without their closing marks. */
export function clausesOf(text: string): readonly (readonly Clause[])[] {
  return text
    .split(SENTENCE_END)
    .map((sentence) => clausesOfSentence(sentence.trim()))
    .filter((clauses) => clauses.length > 0);
}

function clausesOfSentence(sentence: string): Clause[] {
  const isQuestion = /\?["'”’)]*$/u.test(sentence);
  const body = sentence.replace(/[\s.!?…;,]+$/u, "");
  if (body === "") return [];
  const clauses: Clause[] = [];
  let start = 0;
  for (const boundary of [...body.matchAll(CLAUSE_START), undefined]) {
    const end = boundary?.index ?? body.length;
    if (end > start) {
      const last = boundary === undefined;
      clauses.push({ text: body.slice(start, end), rest: body.slice(start), isQuestion: last && isQuestion });
    }
    if (boundary !== undefined) start = boundary.index + boundary[0].length;
  }
  return clauses;
}
