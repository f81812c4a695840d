// This module runs in every runtime.

/** A promise with the functions that settle it; `Promise.withResolvers` where that is missing. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (reason: unknown) => void;
}

/** Makes a {@linkcode Deferred}. Its rejection alone is never an unhandled one. */
export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}

/** Wakes whoever waits for something to change; those look again for themselves. */
export class News {
  #next: Deferred<void> = deferred();

  /** Until the next `tell`. */
  wait(): Promise<void> {
    return this.#next.promise;
  }

  /** Wakes all who wait now. */
  tell(): void {
    this.#next.resolve();
    this.#next = deferred();
  }
}

/**
 * Work whose result many callers may share, as long as it began after they asked: who comes while it
 * is under way gets the next run, together with all who come until then.
 */
export function shareNextRun<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<unknown> | undefined;
  let next: Promise<T> | undefined;
  const run = (): Promise<T> => {
    next = undefined;
    const result = work();
    const over = () => {
      if (running === settled) running = undefined;
    };
    const settled: Promise<unknown> = result.then(over, over);
    running = settled;
    return result;
  };
  return () => {
    if (!running) return run();
    next ??= running.then(run);
    return next;
  };
}

/** The promise, or a rejection with `signal.reason` if that comes first; leaves no listener behind. */
export async function abortable<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (!signal) return promise;
  const aborted = deferred<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
