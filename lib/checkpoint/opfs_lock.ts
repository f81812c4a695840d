import type { Clock } from "../clock.ts";
import { StorageError } from "../errors.ts";

/**
 * Takes a lock of the site's, which ends with the page or worker that has it, however that ends.
 *
 * @param waitMs How long to wait for a page that is just ending.
 * @returns gives it back.
 * @throws {StorageError} when another one has it still.
 */
export function takeLock(
  name: string,
  output: string,
  waitMs: number,
  clock: Clock,
): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const giveUp = new AbortController();
    const cancel = clock.after(waitMs, () => giveUp.abort());
    const held = navigator.locks.request(name, { signal: giveUp.signal }, () => {
      cancel();
      return new Promise<void>((release) => resolve(release));
    });
    held.catch((cause) => {
      cancel();
      const why = giveUp.signal.aborted
        ? "another page or worker is writing to it; close that, or wait for it"
        : (cause as Error).message;
      reject(new StorageError(`Cannot open ${output}: ${why}`, { cause }));
    });
  });
}

/** Runs `work` unless somebody has the lock. */
export async function ifUnlocked<T>(name: string, work: () => Promise<T>): Promise<T | undefined> {
  return navigator.locks.request(name, { ifAvailable: true }, async (lock) =>
    lock === null ? undefined : work(),
  );
}
