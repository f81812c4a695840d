// This module runs in every runtime.
import { HeadraceError } from "../errors.ts";
import { checkAddress, formatAddress, type TensorAddress } from "../tensor/address.ts";
import { AbortGroups } from "./abort_groups.ts";
import type { Attempts } from "./attempts.ts";
import type { TransferOptions } from "./peer_options.ts";
import type { SessionContext } from "./session_context.ts";
import { logTransfer } from "./session_log.ts";
import type { TransferIdentity } from "./small_receiving.ts";
import { Transfer, type TransferControls } from "./transfer.ts";
import { TransferMeter } from "./transfer_meter.ts";

/** The priority of a transfer that is given none. */
export const DEFAULT_PRIORITY = 50;

/** What a {@linkcode TransferTable} is made with. */
export interface TransferTableOptions {
  readonly context: SessionContext;
  readonly attempts: Attempts;
  /** Told when something was verified. */
  readonly onProgress: () => void;
  /** Told of each transfer that is over. */
  readonly onEnd?: ((transfer: Transfer) => void) | undefined;
}

/** A transfer, and what counts what comes of it. */
export interface Begun {
  readonly transfer: Transfer;
  readonly meter: TransferMeter;
}

/** What a peer makes its own transfers with. */
export interface TransferMaking {
  readonly context: SessionContext;
  readonly attempts: Attempts;
  readonly transfers: TransferTable;
}

/** Who a new transfer of this end is. */
export function identityOf(address: TensorAddress, options: TransferOptions): TransferIdentity {
  const { priority = DEFAULT_PRIORITY } = options;
  const id = crypto.getRandomValues(new Uint8Array(16));
  return { id, epoch: 0, address: checkAddress(address), priority };
}

/** The transfers of a peer that are under way, whoever began them. */
export class TransferTable {
  readonly #options: TransferTableOptions;
  readonly #transfers = new Set<Transfer>();
  readonly #aborts = new AbortGroups();

  constructor(options: TransferTableOptions) {
    this.#options = options;
  }

  /** All of them, in the order in which they began. */
  get all(): readonly Transfer[] {
    return [...this.#transfers];
  }

  /** How many there are. */
  get size(): number {
    return this.#transfers.size;
  }

  /** A transfer begins; it is here until it is over. */
  begin(
    { id, address, priority }: TransferIdentity,
    direction: "in" | "out",
    options: TransferOptions = {},
    outlets: Pick<TransferControls, "readable" | "takeBytes"> = {},
  ): Begun {
    const { context, attempts, onProgress, onEnd } = this.#options;
    const meter = new TransferMeter(context.clock, onProgress);
    const transfer: Transfer = new Transfer({
      id,
      address,
      direction,
      priority,
      meter,
      ...outlets,
      // The caller's own reason stays here: to the other end it is a cancel, whatever it is.
      abort: (reason) =>
        attempts
          .of(transfer)
          ?.cancel(reason instanceof HeadraceError ? reason : new DOMException("", "AbortError")),
      reprioritise: (value) => attempts.of(transfer)?.reprioritise(value),
      pause: (isPaused) => attempts.of(transfer)?.pause(isPaused),
    });
    logTransfer(transfer, context.clock);
    this.#transfers.add(transfer);
    const over = () => {
      this.#transfers.delete(transfer);
      onEnd?.(transfer);
    };
    transfer.done.then(over, over);
    this.bind(transfer, options);
    return { transfer, meter };
  }

  /** Ties a transfer to a signal and a deadline. */
  bind(transfer: Transfer, { signal, deadlineMs }: TransferOptions): void {
    if (signal) this.#aborts.add(signal, transfer);
    if (deadlineMs === undefined) return;
    const message = `${formatAddress(transfer.address)} was not there within ${deadlineMs} ms`;
    const stop = this.#options.context.clock.after(deadlineMs, () =>
      transfer.cancel(new DOMException(message, "TimeoutError")),
    );
    transfer.done.then(stop, stop);
  }
}
