const STOP_WORDS = new Set(
  `a an the and or but if of to in on at by for with from as is are was were be been am do does did has have had i me my
  mine you your yours he she it its they them their we us our user users what which who whom whose when where why how
  that this these those there can could will would shall should may might must please tell about not no s t re ve ll d m`.split(
    /\s+/,
  ),
);

/** The words of a text that can be searched for: lower case, no stop words, plurals and two spellings folded. */
export function searchTerms(text: string): readonly string[] {
  const words =
    text
      .normalize("NFKC")
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
  return words.filter((word) => !STOP_WORDS.has(word)).map(folded);
}

function folded(word: string): string {
  if (word.startsWith("favorite")) return "favourite";
  if (word === "color" || word === "colors" || word === "colours") return "colour";
  if (word.length > 4 && word.endsWith("ies")) return `${word.slice(0, -3)}y`;
  return word.length > 3 && /[^su]s$/u.test(word) ? word.slice(0, -1) : word;
}

/**
 * How well each document answers the query.
 *
 *   idf(t) = ln(1 + (N − n_t + ½) / (n_t + ½))
 *   score(D) = Σ_{t ∈ Q} idf(t) · f(t, D) · (k₁ + 1) / (f(t, D) + k₁ · (1 − b + b · |D| / mean |D|))
 *   Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009, Eq. 3.15; idf as Lucene has it, never negative
 *
 * @param query Terms; one said twice counts once.
 * @returns One score a document, 0 when they share no term. [documents]
 */
export function bm25(
  query: readonly string[],
  documents: readonly (readonly string[])[],
  k1 = 1.2,
  b = 0.75,
): number[] {
  const scores = documents.map(() => 0);
  const meanLength = documents.reduce((sum, document) => sum + document.length, 0) / documents.length;
  for (const term of new Set(query)) {
    const frequencies = documents.map((document) => document.filter((word) => word === term).length);
    const containing = frequencies.filter((frequency) => frequency > 0).length;
    const idf = Math.log(1 + (documents.length - containing + 0.5) / (containing + 0.5));
    frequencies.forEach((frequency, index) => {
      if (frequency === 0) return;
      const length = 1 - b + (b * documents[index]!.length) / meanLength;
      scores[index]! += (idf * frequency * (k1 + 1)) / (frequency + k1 * length);
    });
  }
  return scores;
}
