// This module runs in every runtime.
import { type AddressPattern, matchesAddress } from "../tensor/address.ts";
import type { StoreChange } from "../tensor/source.ts";

interface Watcher {
  readonly pattern: AddressPattern;
  readonly onChange: (change: StoreChange) => void;
}

/** Those who want to be told what changes in a store. */
export class Watchers {
  readonly #watchers = new Set<Watcher>();
  readonly #onError: (error: unknown) => void;

  /** @param onError Told what a watcher throws. Default: it goes uncaught, as a listener's would. */
  constructor(onError: (error: unknown) => void = throwLater) {
    this.#onError = onError;
  }

  /** @returns what ends it; a change that is being told of then is not told any more. */
  add(pattern: AddressPattern, onChange: (change: StoreChange) => void): () => void {
    const watcher = { pattern, onChange };
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  /** Tells those whom it concerns, in the order in which they came; one that fails hinders no other. */
  tell(change: StoreChange): void {
    for (const watcher of [...this.#watchers]) {
      try {
        if (!this.#watchers.has(watcher)) continue;
        if (matchesAddress(watcher.pattern, change.address)) watcher.onChange(change);
      } catch (error) {
        this.#onError(error);
      }
    }
  }
}

function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
