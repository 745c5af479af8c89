/** Tokens by what they write, so that those that begin alike are followed together. */
export interface TokenTrie {
  /** In how many tokens a text can be written, taking the longest that fits each time; infinite where none does. */
  count(text: string): number;
  /**
   * Follows every token from a place as far as it is allowed.
   *
   * @param advance the place after a byte, undefined where the byte is refused. @param reached is called for each token that is allowed.
   */
  follow<Place>(
    from: Place,
    advance: (place: Place, byte: string) => Place | undefined,
    reached: (id: number, place: Place) => void,
  ): void;
}

interface Node {
  readonly ids: number[];
  readonly children: Map<string, Node>;
}

/** Lays tokens out. Those that write nothing are left out. */
export function tokenTrie(tokens: ReadonlyMap<number, string>): TokenTrie {
  const root: Node = { ids: [], children: new Map() };
  for (const [id, bytes] of tokens) {
    let node = root;
    for (const byte of bytes) {
      let child = node.children.get(byte);
      if (child === undefined) {
        child = { ids: [], children: new Map() };
        node.children.set(byte, child);
      }
      node = child;
    }
    if (node !== root) node.ids.push(id);
  }
  return {
    count(text) {
      let count = 0;
      for (let at = 0; at < text.length; count++) {
        let end = at;
        let node: Node | undefined = root;
        for (let i = at; node !== undefined; i++) {
          if (node.ids.length > 0) end = i;
          node = node.children.get(text[i] ?? "");
        }
        if (end === at) return Infinity;
        at = end;
      }
      return count;
    },
    follow(from, advance, reached) {
      const visit = (node: Node, place: typeof from): void => {
        for (const id of node.ids) reached(id, place);
        for (const [byte, child] of node.children) {
          const next = advance(place, byte);
          if (next !== undefined) visit(child, next);
        }
      };
      visit(root, from);
    },
  };
}
