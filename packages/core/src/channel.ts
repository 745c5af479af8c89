/** A growing list that can be iterated while it grows; every iteration starts at the first item. */
export class Channel<T> implements AsyncIterable<T> {
  readonly #items: T[] = [];
  #waiting: (() => void)[] = [];
  #ended = false;
  #failure: unknown;

  push(item: T): void {
    this.#items.push(item);
    if (this.#waiting.length > 0) this.#wake();
  }

  /** No further item comes. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Iterations reject with `failure` once they have yielded the items so far. */
  fail(failure: unknown): void {
    this.#failure = failure;
    this.end();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    let position = 0;
    const next = (): Promise<IteratorResult<T>> => {
      if (position < this.#items.length) return Promise.resolve({ value: this.#items[position++]!, done: false });
      if (!this.#ended) return new Promise<void>((resume) => this.#waiting.push(resume)).then(next);
      if (this.#failure !== undefined) return Promise.reject(this.#failure);
      return Promise.resolve({ value: undefined, done: true });
    };
    return { next, return: () => Promise.resolve({ value: undefined, done: true }) };
  }
}
