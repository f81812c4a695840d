/** How much is under way at once. */
export interface ParallelLimits {
  readonly most: number;
  readonly mostBytes: number;
}

/**
 * Runs `work` for each item, in order of beginning, several at once: at most `most`, and of no more
 * than `mostBytes` together unless a single item is larger. The first failure ends it, after what
 * is under way has ended too.
 */
export async function inParallel<T>(
  items: Iterable<T>,
  bytesOf: (item: T) => number,
  limits: ParallelLimits,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const underWay = new Set<Promise<void>>();
  let bytes = 0;
  let failure: { readonly error: unknown } | undefined;
  for (const item of items) {
    const itemBytes = bytesOf(item);
    while (
      underWay.size >= limits.most ||
      (underWay.size > 0 && bytes + itemBytes > limits.mostBytes)
    ) {
      await Promise.race(underWay);
    }
    if (failure) break;
    bytes += itemBytes;
    const done: Promise<void> = work(item)
      .catch((error) => {
        failure ??= { error };
      })
      .finally(() => {
        underWay.delete(done);
        bytes -= itemBytes;
      });
    underWay.add(done);
  }
  await Promise.all(underWay);
  if (failure) throw failure.error;
}
