// This module runs in every runtime.
import { type Deferred, deferred } from "../deferred.ts";
import { ProtocolError } from "../errors.ts";
import type { LeafBitmap } from "../tensor/bitmap.ts";
import type { DigestPage } from "../wire/pages.ts";
import type { Channel } from "./channel.ts";
import { haveFrames } from "./have_frames.ts";

/** What the sender says of leaves that were asked about; those it cannot vouch for are missing. */
export type TheirDigests = ReadonlyMap<number, Uint8Array>;

/** A receiver's question for the sender's digests, one at a time, and the answer as it comes. */
export class DigestQuery {
  readonly #channel: Channel;
  readonly #stream: number;
  #asked: LeafBitmap | undefined;
  #answer = new Map<number, Uint8Array>();
  #answered: Deferred<TheirDigests> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(channel: Channel, stream: number) {
    this.#channel = channel;
    this.#stream = stream;
  }

  /**
   * Asks for the digests of these leaves.
   *
   * @throws what the attempt fails with before all of the answer is here.
   */
  async ask(leaves: LeafBitmap): Promise<TheirDigests> {
    if (this.#failure) throw this.#failure.error;
    this.#asked = leaves;
    this.#answer = new Map();
    this.#answered = deferred();
    for (const frame of haveFrames(this.#stream, leaves, true)) this.#channel.link.send(frame);
    return this.#answered.promise;
  }

  /** No answer will come any more. */
  fail(error: unknown): void {
    this.#failure = { error };
    this.#answered?.reject(error);
  }

  /**
   * A page of the answer.
   *
   * @throws {ProtocolError} when nothing was asked, or not for that.
   */
  heard({ firstLeaf, digests }: DigestPage, isLast: boolean): void {
    const asked = this.#asked;
    if (!asked) throw new ProtocolError("The peer answered without a query");
    for (const [n, digest] of digests.entries()) {
      const leaf = firstLeaf + n;
      if (leaf >= asked.leafTotal || !asked.has(leaf)) {
        throw new ProtocolError(`The peer sent the digest of leaf ${leaf}, which nobody asked for`);
      }
      this.#answer.set(leaf, digest);
    }
    if (!isLast) return;
    this.#asked = undefined;
    this.#answered?.resolve(this.#answer);
  }
}
