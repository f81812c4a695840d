import { assert } from "chai";
import type { Connection } from "../../../../lib/connection.ts";
import { TensorPeer } from "../../../../lib/session/peer.ts";
import type { TensorAddress } from "../../../../lib/tensor/address.ts";
import { sameBytes } from "../../../streams/support.ts";
import { turn } from "../../../transports/conformance.ts";
import { LEAF, tensorBytes } from "../../support/tensors.ts";

export const BULK: TensorAddress = { model: "m", partition: "p", tensor: "bulk" };
export const SMALL: TensorAddress = { model: "m", partition: "p", tensor: "small" };
const LEAVES = 4;
export const BULK_BYTES: Uint8Array = tensorBytes(LEAVES * LEAF);
export const SMALL_BYTES: Uint8Array = tensorBytes(4096);

/**
 * An honest peer of the same host, with a bulk under way for as long as an attack on somebody else
 * lasts, and one small tensor after another beside it.
 */
export class Neighbour {
  readonly #peer: TensorPeer;
  readonly #connection: Connection;
  readonly #bulk: Promise<void>;
  readonly #rounds: Promise<void>;
  #isReleased = false;
  /** Small tensors that it has got so far. */
  rounds = 0;

  private constructor(connection: Connection) {
    this.#connection = connection;
    this.#peer = new TensorPeer(connection, { node: "neighbour" });
    this.#peer.closed.catch(() => {});
    this.#bulk = this.#pull();
    this.#rounds = this.#goOn();
    this.#bulk.catch(() => {});
    this.#rounds.catch(() => {});
  }

  /** One whose bulk is under way. */
  static async begin(connection: Connection): Promise<Neighbour> {
    const neighbour = new Neighbour(connection);
    while (neighbour.rounds === 0) await turn();
    return neighbour;
  }

  /** The attack is over: everything must come as if nothing had been. */
  async finish(): Promise<void> {
    this.#isReleased = true;
    await this.#rounds;
    await this.#bulk;
    await this.#peer.close();
  }

  /** After a failed test. */
  leave(): void {
    this.#isReleased = true;
    this.#connection.close();
  }

  async #pull(): Promise<void> {
    const transfer = this.#peer.requestTensor(BULK);
    const reader = transfer.readable.getReader();
    for (let at = 0; ; ) {
      // The half of it is kept for afterwards.
      while (at >= BULK_BYTES.byteLength / 2 && !this.#isReleased) await turn();
      const next = await reader.read();
      if (next.done) break;
      const wanted = BULK_BYTES.subarray(at, at + next.value.byteLength);
      assert.isTrue(sameBytes(next.value, wanted), `the neighbour's bytes from ${at} on`);
      at += next.value.byteLength;
      await turn();
    }
    await transfer.done;
    assert.equal(transfer.progress.bytes, BULK_BYTES.byteLength);
    assert.equal(transfer.verified, "root");
  }

  async #goOn(): Promise<void> {
    while (!this.#isReleased) {
      const bytes = await this.#peer.requestTensor(SMALL, { into: "memory" }).bytes();
      assert.isTrue(sameBytes(bytes, SMALL_BYTES));
      this.rounds++;
      await turn();
    }
  }
}
