// This module runs in every runtime.
import { ProtocolError } from "../errors.ts";
import { LEAF_BYTES } from "../tensor/leaf.ts";

/** Growth of less than this share of the window is not worth a frame. */
const TOLD_SHARE = 8;

/**
 * What this end lets the other send on a connection: as much as was consumed, and a window. So
 * whatever the transfers do, no more than the window waits here. Arithmetic only.
 */
export class IncomingCredit {
  #windowBytes: number;
  #heardBytes = 0;
  #consumedBytes = 0;
  #limitBytes: number;

  /** @param windowBytes What may be here, or on its way, that nobody has consumed. */
  constructor(windowBytes: number) {
    this.#windowBytes = windowBytes;
    this.#limitBytes = windowBytes;
  }

  /** Bytes that came and are not consumed. */
  get heldBytes(): number {
    return this.#heardBytes - this.#consumedBytes;
  }

  /** The window. */
  get windowBytes(): number {
    return this.#windowBytes;
  }

  /** Makes room for chunks of this length, or the leaf that they become: four at least. */
  widen(chunkBytes: number): void {
    this.#windowBytes = Math.max(this.#windowBytes, 4 * chunkBytes, 4 * LEAF_BYTES);
  }

  /**
   * A chunk begins to come.
   *
   * @throws {ProtocolError} when it was not allowed for.
   */
  heard(bytes: number): void {
    this.#heardBytes += bytes;
    if (this.#heardBytes <= this.#limitBytes) return;
    throw new ProtocolError(
      `The peer sent ${this.#heardBytes} bytes of chunks, where its credit ends at ${this.#limitBytes}`,
    );
  }

  /** So much of what came is done with: stored, taken by its reader, or dropped. */
  consumed(bytes: number): void {
    this.#consumedBytes += bytes;
  }

  /** The new limit, where it is worth telling. */
  grant(): number | undefined {
    const limitBytes = this.#consumedBytes + this.#windowBytes;
    if (limitBytes - this.#limitBytes < this.#windowBytes / TOLD_SHARE) return undefined;
    this.#limitBytes = limitBytes;
    return limitBytes;
  }
}
