/** A text as the bytes of its UTF-8, one character each: what tokens can be cut in anywhere. */
export function bytesOf(text: string): string {
  return /^[\0-\x7f]*$/.test(text) ? text : String.fromCharCode(...new TextEncoder().encode(text));
}

/**
 * What each token writes, as {@link bytesOf} would give it: of a byte-level vocabulary, or of a SentencePiece one.
 *
 * @param added ids of tokens whose content is text as it is.
 */
export function tokenBytes(
  json: { readonly decoder?: unknown },
  vocabulary: ReadonlyMap<string, number>,
  added: ReadonlySet<number>,
): ReadonlyMap<number, string> {
  const byteLevel = JSON.stringify(json.decoder ?? null).includes('"ByteLevel"');
  const bytes = byteLevel ? byteSymbols() : undefined;
  const written = (token: string): string => {
    if (bytes !== undefined) {
      return Array.from(token, (symbol) => bytes.get(symbol) ?? bytesOf(symbol)).join("");
    }
    const byte = token.match(/^<0x([0-9A-F]{2})>$/)?.[1];
    return byte === undefined ? bytesOf(token.replaceAll("▁", " ")) : String.fromCharCode(Number.parseInt(byte, 16));
  };
  return new Map([...vocabulary].map(([token, id]) => [id, added.has(id) ? bytesOf(token) : written(token)]));
}

/** Bytes by their printable stand-ins (GPT-2): bytes that print stand for themselves, the others for U+0100 onwards. */
function byteSymbols(): ReadonlyMap<string, string> {
  const prints = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let next = 256;
  return new Map(
    Array.from({ length: 256 }, (_, byte) => [
      String.fromCodePoint(prints(byte) ? byte : next++),
      String.fromCharCode(byte),
    ]),
  );
}
