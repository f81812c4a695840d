// This module runs in every runtime.

/** What a signal can end. */
interface Abortable {
  readonly done: Promise<void>;
  cancel(reason: unknown): void;
}

/**
 * Ties transfers to the signals they were given, with one listener a signal however many transfers
 * share it, and none once they are over: runtimes warn of more.
 */
export class AbortGroups {
  readonly #groups = new Map<AbortSignal, Set<Abortable>>();

  /** Cancels the transfer when the signal is aborted, at once if it is already. */
  add(signal: AbortSignal, transfer: Abortable): void {
    if (signal.aborted) {
      transfer.cancel(signal.reason);
      return;
    }
    const group = this.#groups.get(signal) ?? this.#open(signal);
    group.add(transfer);
    const over = () => {
      group.delete(transfer);
      if (group.size > 0 || this.#groups.get(signal) !== group) return;
      this.#groups.delete(signal);
      signal.removeEventListener("abort", this.#onAbort);
    };
    transfer.done.then(over, over);
  }

  #open(signal: AbortSignal): Set<Abortable> {
    const group = new Set<Abortable>();
    this.#groups.set(signal, group);
    signal.addEventListener("abort", this.#onAbort);
    return group;
  }

  readonly #onAbort = (event: Event): void => {
    const signal = event.target as AbortSignal;
    for (const transfer of [...(this.#groups.get(signal) ?? [])]) transfer.cancel(signal.reason);
  };
}
