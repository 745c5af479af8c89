/**
 * How well each text fits a request, by BM25 with k₁ = 1.2 and b = .75; 0 for a text that shares no term with it.
 *
 *   score(D) = Σ_{t ∈ Q} ln(1 + (N − n_t + ½) / (n_t + ½)) · f(t, D) · (k₁ + 1) / (f(t, D) + k₁ (1 − b + b |D| / mean |D|))
 *   Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009, Eq. 3.15
 *
 * @returns [texts]
 */
export function relevance(request: readonly string[], texts: readonly (readonly string[])[]): readonly number[] {
  const mean = texts.reduce((sum, { length }) => sum + length, 0) / Math.max(1, texts.length);
  const terms = [...new Set(request)];
  const inTexts = terms.map((term) => texts.filter((text) => text.includes(term)).length);
  return texts.map((text) => {
    const length = 0.25 + (0.75 * text.length) / Math.max(1, mean);
    return terms.reduce((score, term, index) => {
      const frequency = text.filter((word) => word === term).length;
      const idf = Math.log(1 + (texts.length - inTexts[index]! + 0.5) / (inTexts[index]! + 0.5));
      return score + (frequency === 0 ? 0 : (idf * frequency * 2.2) / (frequency + 1.2 * length));
    }, 0);
  });
}
