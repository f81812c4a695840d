// This module runs in every runtime.
import { abortable } from "../deferred.ts";
import { IntegrityError } from "../errors.ts";
import { eventTurn } from "../event_turn.ts";
import { BufferPool } from "../session/buffer_pool.ts";
import type { TransferMeter } from "../session/transfer_meter.ts";
import { LeafBitmap } from "../tensor/bitmap.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { LeafDigest } from "../tensor/chunk.ts";
import { LEAF_BYTES, leafCount, leafLength } from "../tensor/leaf.ts";
import type { Held, TensorSink } from "../tensor/sink.ts";
import type { SourceVersion } from "../tensor/source.ts";
import type { HttpBody } from "./body.ts";
import type { HttpSetup } from "./options.ts";
import type { HttpRequests, RequestCare } from "./requests.ts";
import { checkAnswer, type HttpResource, isResumable, rangeHeaders } from "./resource.ts";
import { shown } from "./status_errors.ts";

/** A tensor, or a whole file, and where in a resource its bytes are. */
export interface HttpPlace {
  readonly resource: HttpResource;
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly version: SourceVersion;
  /** What its leaves must be, in order; none where the server does not tell. */
  readonly digests?: readonly Uint8Array[];
  /** Bytes that it must begin with, from an earlier answer. */
  readonly front?: Uint8Array;
}

/** What {@linkcode LeafFetch} works with. */
export interface LeafFetchOptions {
  readonly setup: HttpSetup;
  readonly requests: HttpRequests;
  readonly meter: TransferMeter;
  readonly care: RequestCare;
  /** How often each leaf came damaged, over all attempts. */
  readonly refetches: Map<number, number>;
  /** While the transfer is paused: until it is not. */
  readonly pause: () => Promise<void> | undefined;
}

/** Takes a leaf; `false` when no more are wanted. */
type TakeLeaf = (index: number, bytes: Uint8Array) => Promise<boolean>;

/** One attempt at the leaves of a tensor that are missing: fetched, verified and given to a sink. */
export class LeafFetch {
  readonly #options: LeafFetchOptions;
  readonly #place: HttpPlace;
  readonly #sink: TensorSink;
  readonly #safe: LeafBitmap;
  readonly #digests: Uint8Array[] = [];
  /** One leaf is received while the one before is written. */
  readonly #buffers = new BufferPool(2);
  #writing: Promise<void> = Promise.resolve();
  /** Until there is memory for another leaf beside the one that is written. */
  #room: Promise<void> = Promise.resolve();
  /** Leaves that were taken and are not written. */
  #unwritten = 0;
  /** Whether the sink's own memory may be written. */
  #isBegun = false;

  constructor(options: LeafFetchOptions, place: HttpPlace, sink: TensorSink) {
    this.#options = options;
    this.#place = place;
    this.#sink = sink;
    this.#safe = new LeafBitmap(leafCount(place.byteLength));
  }

  /**
   * Fetches what the sink does not have.
   *
   * @returns the digests of all leaves, in order.
   * @throws {IntegrityError} at source, when the resource changed; in transit, for a leaf that comes
   *   damaged again and again.
   */
  async run(): Promise<readonly Uint8Array[]> {
    const { version, byteLength } = this.#place;
    const keep = await this.#kept(await this.#sink.held());
    await this.#sink.begin(version, keep);
    this.#isBegun = true;
    let keptBytes = 0;
    for (const { index, digest } of keep) {
      this.#safe.set(index);
      this.#digests[index] = digest;
      keptBytes += leafLength(index, byteLength);
    }
    this.#options.meter.began(byteLength, keptBytes);
    try {
      for (const { first, count } of [...this.#safe.missingRanges()]) {
        await this.#read(first, count, (index, bytes) => this.#take(index, bytes));
      }
    } finally {
      // The sink may go on with it until it is let go of; a reader who is gone is not waited for.
      await abortable(this.#writing, this.#options.care.signal);
    }
    return this.#digests;
  }

  /** What of the sink's leaves is of this version, as far as that can be told. */
  async #kept(held: Held | undefined): Promise<readonly LeafDigest[]> {
    const { digests, resource, version } = this.#place;
    if (!held) return [];
    if (digests) {
      return held.leaves.filter(({ index, digest }) => {
        const wanted = digests[index];
        return wanted !== undefined && equalBytes(wanted, digest);
      });
    }
    if (held.version.byteLength === 0) return this.#compare(held.leaves);
    return isResumable(resource) && equalBytes(held.version, version) ? held.leaves : [];
  }

  /** Fetches leaves to compare them with those that are here, until one differs. */
  async #compare(leaves: readonly LeafDigest[]): Promise<readonly LeafDigest[]> {
    const here = new Map(leaves.map((leaf) => [leaf.index, leaf]));
    const same: LeafDigest[] = [];
    await this.#read(0, this.#safe.leafTotal, async (index, bytes) => {
      const leaf = here.get(index);
      const digest = await this.#options.setup.sha256([bytes]);
      this.#buffers.give(bytes);
      if (!leaf || !equalBytes(digest, leaf.digest)) return false;
      same.push(leaf);
      return true;
    });
    return same;
  }

  /** Reads leaves in order until all are there or `take` wants no more, from as few answers as it can. */
  async #read(first: number, count: number, take: TakeLeaf, isUrgent = false): Promise<void> {
    const endLeaf = first + count;
    for (let leaf = first; leaf < endLeaf; ) {
      if (!isUrgent) await this.#ready();
      leaf = await this.#readOne(leaf, endLeaf, take, isUrgent);
    }
  }

  /**
   * Reads leaves from one answer.
   *
   * @returns the leaf to go on with: the answer is let go of while nobody takes what it brings.
   */
  async #readOne(
    first: number,
    endLeaf: number,
    take: TakeLeaf,
    isUrgent: boolean,
  ): Promise<number> {
    const { resource, byteOffset, byteLength } = this.#place;
    const from = byteOffset + first * LEAF_BYTES;
    const end = byteOffset + Math.min(endLeaf * LEAF_BYTES, byteLength);
    const { requests, care } = this.#options;
    return requests.get(
      resource.url,
      rangeHeaders(resource, from, end),
      async (answer) => {
        const { body } = answer;
        await body.skip(checkAnswer(resource, answer, from, end));
        for (let leaf = first; leaf < endLeaf; leaf++) {
          const waiting = isUrgent ? undefined : this.#ready();
          if (waiting && !(await answer.rest(waiting, isResumable(resource)))) return leaf;
          if (!(await take(leaf, await this.#receive(leaf, body)))) return endLeaf;
          // An answer that is made here needs no waiting, and timers and cancels would never come.
          await eventTurn();
        }
        if (answer.status === 206 || end === resource.byteLength) await body.end();
        return endLeaf;
      },
      { ...care, isUrgent },
    );
  }

  /** While the transfer is paused, or there is no memory for another leaf: until that is over. */
  #ready(): Promise<void> | undefined {
    const { pause, care } = this.#options;
    const paused = pause();
    if (!paused && this.#unwritten < 2) return undefined;
    return Promise.resolve(paused).then(() => abortable(this.#room, care.signal));
  }

  async #receive(index: number, body: HttpBody): Promise<Uint8Array> {
    const { byteLength, front, resource } = this.#place;
    const own = this.#isBegun ? this.#sink.buffer?.(index) : undefined;
    const bytes = own ?? this.#buffers.take(leafLength(index, byteLength));
    await body.fill(bytes);
    this.#options.meter.moved(bytes.byteLength, bytes.byteLength);
    const known = front?.subarray(index * LEAF_BYTES, (index + 1) * LEAF_BYTES);
    if (known && !equalBytes(known, bytes.subarray(0, known.byteLength))) {
      throw new IntegrityError("source", `${shown(resource.url)} changed while it was fetched`);
    }
    return bytes;
  }

  /** Verifies a leaf, fetches it again by itself where it is damaged, and has it written. */
  async #take(index: number, received: Uint8Array): Promise<boolean> {
    const { setup, meter } = this.#options;
    const wanted = this.#place.digests?.[index];
    let bytes = received;
    let digest = await setup.sha256([bytes]);
    while (wanted && !equalBytes(digest, wanted)) {
      this.#countRefetch(index);
      this.#give(bytes);
      await this.#read(
        index,
        1,
        async (_, again) => {
          bytes = again;
          return true;
        },
        true,
      );
      digest = await setup.sha256([bytes]);
    }
    const leaf = { index, digest };
    const write = async () => {
      // A turn that comes after the end is not used: the sink is let go of by then.
      this.#options.care.signal?.throwIfAborted();
      await this.#sink.write(leaf, bytes);
      this.#unwritten--;
      this.#safe.set(index);
      this.#digests[index] = digest;
      meter.verified(bytes.byteLength);
      this.#give(bytes);
    };
    this.#unwritten++;
    this.#room = this.#writing;
    this.#writing = this.#writing.then(write);
    // Looked at before another leaf is received, or at the end.
    this.#writing.catch(() => {});
    return true;
  }

  #give(bytes: Uint8Array): void {
    if (!this.#sink.buffer) this.#buffers.give(bytes);
  }

  #countRefetch(index: number): void {
    const { refetches, setup } = this.#options;
    const count = (refetches.get(index) ?? 0) + 1;
    refetches.set(index, count);
    const { maxRetries } = setup.retry;
    if (maxRetries === "unlimited" || count <= maxRetries) return;
    throw new IntegrityError(
      "transit",
      `Leaf ${index} of ${shown(this.#place.resource.url)} does not match its digest, again and again`,
      { byteOffset: index * LEAF_BYTES, retryable: false },
    );
  }
}
