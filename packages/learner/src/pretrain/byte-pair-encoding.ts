/** A byte-level BPE vocabulary as Hugging Face's `tokenizer.json` holds it. */
export interface BytePairEncoding {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly (readonly [string, string])[];
}

/** Printable stand-ins of the 256 bytes (GPT-2): bytes that print stand for themselves, the others for U+0100 onwards. */
export function byteSymbols(): readonly string[] {
  const prints = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(prints(byte) ? byte : next++));
}

/**
 * Byte-pair encoding (Sennrich et al., arXiv:1508.07909): merges the commonest neighbours until the vocabulary is full.
 * Ties go to the pair that sorts first, so the same texts give the same vocabulary.
 *
 * @param texts what to compress; nothing merges across two of them.
 * @param firstId the ids below it belong to special tokens.
 */
export function trainBytePairEncoding(texts: readonly string[], firstId: number, vocabSize: number): BytePairEncoding {
  const symbols = byteSymbols();
  const vocab: Record<string, number> = {};
  symbols.forEach((symbol, byte) => {
    vocab[symbol] = firstId + byte;
  });
  const words = texts.map((text) => [...Buffer.from(text, "utf8")].map((byte) => symbols[byte]!));
  const merges: [string, string][] = [];
  while (firstId + symbols.length + merges.length < vocabSize) {
    const counts = new Map<string, { readonly pair: [string, string]; count: number }>();
    for (const word of words) {
      for (let i = 0; i + 1 < word.length; i++) {
        const key = `${word[i]} ${word[i + 1]}`;
        const known = counts.get(key);
        if (known === undefined) counts.set(key, { pair: [word[i]!, word[i + 1]!], count: 1 });
        else known.count++;
      }
    }
    const best = [...counts.entries()].sort(([a, x], [b, y]) => y.count - x.count || (a < b ? -1 : 1))[0]?.[1];
    if (best === undefined || best.count < 2) break;
    merges.push(best.pair);
    vocab[best.pair.join("")] = firstId + symbols.length + merges.length - 1;
    for (const word of words) mergeIn(word, best.pair);
  }
  return { vocab, merges };
}

function mergeIn(word: string[], [left, right]: readonly [string, string]): void {
  for (let i = 0; i + 1 < word.length; i++) {
    if (word[i] === left && word[i + 1] === right) word.splice(i, 2, left + right);
  }
}
