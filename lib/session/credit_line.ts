// This module runs in every runtime.
import { LEAF_BYTES } from "../tensor/leaf.ts";
import { encodeChecked, encodeMessage } from "../wire/control.ts";
import { FRAME } from "../wire/frame_header.ts";
import { encodeNumber } from "../wire/pages.ts";
import type { Channel } from "./channel.ts";
import type { LeafLedger } from "./leaf_ledger.ts";
import { rangeFrames } from "./range_frames.ts";
import { ReaderLine } from "./reader_budget.ts";
import type { SessionContext } from "./session_context.ts";
import { Window } from "./window.ts";

/** What a {@linkcode CreditLine} works with. */
export interface CreditLineOptions {
  readonly channel: Channel;
  readonly context: SessionContext;
  readonly stream: number;
  readonly ledger: LeafLedger;
  /** The longest chunk that may come. */
  readonly chunkBytes: number;
  /** For what goes to a reader: whether that waits for bytes. */
  readonly isReaderWaiting: (() => boolean) | undefined;
  /** Whether a reader that waits takes a leaf as soon as it is there. */
  readonly takesAtOnce: boolean;
}

/** Where a transfer's window begins, if the limits allow as much. */
const FIRST_WINDOW_BYTES = 8 * 1024 * 1024;

/** One transfer's credit and acknowledgements, told to its sender as leaves become safe. */
export class CreditLine {
  readonly #options: CreditLineOptions;
  readonly #window: Window;
  /** Below this a window would not let the next chunk through. */
  readonly #leastBytes: number;
  readonly #line: ReaderLine | undefined;

  constructor(options: CreditLineOptions) {
    this.#options = options;
    const { transferWindowBytes } = options.context.limits;
    // Chunks of more than a leaf are whole leaves.
    const { chunkBytes } = options;
    const unitBytes = Math.max(chunkBytes - (chunkBytes % LEAF_BYTES), LEAF_BYTES);
    this.#leastBytes = unitBytes;
    const first = options.isReaderWaiting ? 2 * unitBytes : FIRST_WINDOW_BYTES;
    const firstBytes = Math.max(2 * unitBytes, Math.min(first, transferWindowBytes));
    this.#window = new Window(firstBytes, transferWindowBytes);
    if (!options.isReaderWaiting) return;
    const takesAtOnce = options.takesAtOnce && unitBytes === LEAF_BYTES;
    this.#line = new ReaderLine(() => this.tell(), takesAtOnce);
  }

  /** Whether the sender has had all that it was allowed, so that nothing can come of it. */
  get isUsedUp(): boolean {
    const { ledger } = this.#options;
    return (
      ledger.limit < ledger.byteLength && ledger.limit - ledger.consumedBytes < this.#leastBytes
    );
  }

  /** Starts the chunks. */
  accept(): void {
    const { channel, stream, ledger } = this.#options;
    const limit = ledger.grant(this.#allowedBytes(), true) ?? 0;
    channel.link.send(encodeMessage("accept", stream, { limit }));
  }

  /**
   * Tells what has become safe and how far the sender may go, where that is worth it.
   *
   * @param isUrgent Whether somebody waits.
   */
  tell(isUrgent = false): void {
    const { channel, stream, ledger, context } = this.#options;
    const { link } = channel;
    const { rttMs } = link.flight;
    this.#window.consumed(ledger.consumedBytes, rttMs, context.clock.now());
    const limit = ledger.grant(this.#allowedBytes(), isUrgent || this.#line !== undefined);
    if (limit !== undefined || ledger.isAckDue) {
      const safe = ledger.takeUnacknowledged();
      for (const frame of rangeFrames("ack", stream, safe)) link.send(frame);
    }
    if (limit === undefined) return;
    link.send(encodeChecked(FRAME.credit, stream, encodeNumber(limit)));
  }

  /** The transfer is over; others may have what it had. */
  leave(): void {
    if (this.#line) this.#options.channel.readers.leave(this.#line);
  }

  /** How far the sender may be ahead. */
  #allowedBytes(): number {
    const { channel, ledger, isReaderWaiting } = this.#options;
    const wantedBytes = this.#window.bytes;
    if (!this.#line || !isReaderWaiting) return wantedBytes;
    const leftBytes = ledger.byteLength - ledger.consumedBytes;
    const aheadBytes = Math.max(0, ledger.limit - ledger.consumedBytes);
    // What has come and is not taken yet may be all that the reader waits for.
    const isDry = this.#line.takesAtOnce || !ledger.isUnderWay;
    return channel.readers.adjust(this.#line, {
      outstandingBytes: Math.min(aheadBytes, wantedBytes),
      wantedBytes: Math.min(wantedBytes, leftBytes),
      nextBytes: Math.min(this.#leastBytes, leftBytes),
      isWaiting: isDry && isReaderWaiting(),
    });
  }
}
