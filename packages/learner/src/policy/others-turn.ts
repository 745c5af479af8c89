/** Resolves in a later turn of the event loop: what others have to do comes first. Long work on the serving thread waits for it now and then. */
export function othersTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Lets callers go on one after the other, each in a turn of its own, however many come at once. */
export function oneATurn(): () => Promise<void> {
  let last = Promise.resolve();
  return () => {
    last = last.then(othersTurn);
    return last;
  };
}
