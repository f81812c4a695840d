// This module runs in every runtime.
import { RemoteError } from "../errors.ts";
import { toHex } from "../tensor/bytes.ts";

/** An attempt that a newer one may end. */
interface Fenced {
  readonly epoch: number;
  /** Ends the attempt because of this. */
  readonly end: (reason: unknown) => void;
  /** Settles when the attempt writes no more. */
  readonly over: Promise<unknown>;
}

/** An attempt, and when it and all before it write no more. */
interface Entered {
  readonly attempt: Fenced;
  readonly quiet: Promise<unknown>;
}

/**
 * The attempts at transfers that other ends began, by the transfer's id: of one transfer only the
 * newest attempt goes on, whatever connection each is on, so that never two of them write.
 */
export class AttemptFences {
  readonly #open = new Map<string, Entered>();

  /**
   * Enters an attempt, and ends the older one of the same transfer.
   *
   * @returns a promise that is kept when no older one writes any more, those included that had to
   *   wait for others themselves.
   * @throws {RemoteError} with code `stale_epoch`, when this is not the newer one.
   */
  enter(id: Uint8Array, attempt: Fenced): Promise<void> {
    const key = toHex(id);
    const older = this.#open.get(key);
    if (older && older.attempt.epoch >= attempt.epoch) {
      throw new RemoteError(
        "stale_epoch",
        `Attempt ${attempt.epoch} at the transfer is not newer than attempt ${older.attempt.epoch}`,
      );
    }
    const before = Promise.resolve(older?.quiet).then(() => {});
    const quiet = Promise.allSettled([before, attempt.over]);
    const entered = { attempt, quiet };
    this.#open.set(key, entered);
    quiet.then(() => {
      if (this.#open.get(key) === entered) this.#open.delete(key);
    });
    older?.attempt.end(
      new RemoteError("stale_epoch", `Attempt ${attempt.epoch} at the transfer took its place`),
    );
    return before;
  }
}
