// This module runs in every runtime.
import { decodeChunk } from "../codec/decode_chunk.ts";
import { IntegrityError, ProtocolError } from "../errors.ts";
import { ChunkCollector } from "../streams/chunk_collector.ts";
import { LeafCollector, type WholeLeaf } from "../streams/leaf_collector.ts";
import { verifyChecksum } from "../streams/verifier_stream.ts";
import { equalBytes } from "../tensor/bytes.ts";
import { type LeafDigest, MAX_CHUNK_BYTES, type TensorChunk } from "../tensor/chunk.ts";
import { LEAF_BYTES, leafLength } from "../tensor/leaf.ts";
import type { TensorSink } from "../tensor/sink.ts";
import type { ChunkHead } from "../wire/chunk_head.ts";
import type { DigestMode, Offer } from "../wire/messages.ts";
import type { DigestPage } from "../wire/pages.ts";
import { LeafBuffers } from "./leaf_buffers.ts";
import type { LeafLedger } from "./leaf_ledger.ts";
import type { SessionContext } from "./session_context.ts";

/** Stands for a leaf's digest where there are none. */
export const NO_DIGEST: Uint8Array = new Uint8Array(32);
/** Digests may come so far before their leaf is allowed for: what the longest chunk holds. */
const MOST_LEAVES_AHEAD = MAX_CHUNK_BYTES / LEAF_BYTES;

/** Where a {@linkcode LeafIntake} puts leaves, and whom it tells. */
export interface LeafIntakeOptions {
  readonly context: SessionContext;
  readonly offer: Offer;
  readonly digest: DigestMode;
  readonly sink: TensorSink;
  readonly ledger: LeafLedger;
  /** The transfer's priority now: the disk serves the most urgent first. */
  readonly priority: () => number;
  /** A leaf is safe. */
  readonly onSafe: (leaf: LeafDigest, bytes: number) => void;
  /** Leaves came damaged, and are wanted again. */
  readonly onDamaged: (leaves: readonly number[], why: string) => void;
  /** So many bytes that came are done with, without having become a leaf. */
  readonly onDropped: (bytes: number) => void;
  /** Something ended the attempt. */
  readonly onFault: (error: unknown) => void;
  /** A chunk or a leaf has come to where it goes. */
  readonly onIdle: () => void;
}

/** Turns the chunks of one transfer into verified leaves, and stores those. */
export class LeafIntake {
  readonly #options: LeafIntakeOptions;
  readonly #buffers: LeafBuffers;
  readonly #chunks: ChunkCollector;
  readonly #leaves: LeafCollector;
  /** Digests that the sender announced for leaves still to come. */
  readonly #expected = new Map<number, Uint8Array>();
  /** Leaves of which a chunk was damaged, until they begin anew. */
  readonly #damaged = new Set<number>();
  /** The leaves that are wanted of the chunk that is coming in. */
  #wanted: ReadonlySet<number> = new Set();
  #isAgain = false;
  /** Chunks and leaves between their arrival and their being safe. */
  #busy = 0;
  #writes = 0;
  #chunksHeard = 0;
  /** Asynchronous codecs and digests keep the order through this. */
  #tail: Promise<void> | undefined;
  #isOver = false;

  constructor(options: LeafIntakeOptions) {
    const { offer, sink, context, ledger } = options;
    this.#options = options;
    this.#buffers = new LeafBuffers(() => ledger.byteLength, sink, context.buffers);
    this.#chunks = new ChunkCollector(offer.codecs, (head) => this.#buffers.allocate(head));
    this.#leaves = new LeafCollector(offer.descriptor.byteLength);
  }

  /** Chunks and leaves that have come and are not safe yet. */
  get busy(): number {
    return this.#busy;
  }

  /** Leaves that the sink has not taken yet. */
  get writes(): number {
    return this.#writes;
  }

  /** Chunks that came whole. */
  get chunksHeard(): number {
    return this.#chunksHeard;
  }

  /** Nothing more is wanted. */
  stop(): void {
    this.#isOver = true;
  }

  /** The tensor's length is known now. */
  settle(byteLength: number): void {
    this.#leaves.settle(byteLength);
  }

  /**
   * Digests for leaves that are about to come.
   *
   * @throws {ProtocolError} for one that cannot come yet, or never.
   */
  expect(page: DigestPage): void {
    const { ledger, digest: mode } = this.#options;
    const endLeaf = Math.min(
      ledger.leafTotal,
      Math.ceil(ledger.limit / LEAF_BYTES) + MOST_LEAVES_AHEAD,
    );
    for (const [n, digest] of page.digests.entries()) {
      const index = page.firstLeaf + n;
      if (index >= endLeaf || mode === "none") {
        throw new ProtocolError(
          `The peer sent the digest of leaf ${index}, which is not on its way`,
        );
      }
      // One that is here may be repeated beside others of its chunk.
      if (!ledger.safe.has(index)) this.#expected.set(index, digest);
    }
  }

  /** A fragment begins. */
  begin(head: ChunkHead, dataBytes: number, isAgain: boolean): void {
    const { ledger, offer } = this.#options;
    if (!this.#chunks.isOpen) {
      this.#wanted = ledger.admit(head, offer.chunkBytes, isAgain);
      this.#isAgain = isAgain;
    }
    this.#chunks.begin(head, dataBytes);
  }

  /** Bytes of the fragment; gives the chunk as it was on the wire once it is whole. */
  data(bytes: Uint8Array): TensorChunk | undefined {
    const chunk = this.#chunks.data(bytes);
    if (!chunk) return undefined;
    this.#busy++;
    this.#chunksHeard++;
    const wanted = this.#wanted;
    if (!this.#isAgain) this.#dropUnwanted(chunk, wanted);
    this.#inOrder(() => this.#decode(chunk, wanted));
    return chunk;
  }

  /** What of a chunk belongs to leaves that are here already has no use. */
  #dropUnwanted({ byteOffset, rawBytes }: TensorChunk, wanted: ReadonlySet<number>): void {
    if (rawBytes <= LEAF_BYTES) return;
    const { byteLength } = this.#options.ledger;
    let wantedBytes = 0;
    for (const leaf of wanted) wantedBytes += leafLength(leaf, byteLength);
    if (byteOffset % LEAF_BYTES === 0) this.#options.onDropped(rawBytes - wantedBytes);
  }

  /** Runs a step after the steps before it, at once where those are over. */
  #inOrder(step: () => void | Promise<void>): void {
    const run = (): void | Promise<void> => (this.#isOver ? undefined : step());
    if (this.#tail) {
      this.#follow(this.#tail.then(run));
      return;
    }
    try {
      const result = run();
      if (result) this.#follow(result);
    } catch (error) {
      this.#options.onFault(error);
    }
  }

  #follow(work: Promise<void>): void {
    const tail: Promise<void> = work
      .catch((error) => this.#options.onFault(error))
      .then(() => {
        if (this.#tail === tail) this.#tail = undefined;
      });
    this.#tail = tail;
  }

  #decode(chunk: TensorChunk, wanted: ReadonlySet<number>): void | Promise<void> {
    const { codecs } = this.#options.context;
    if (chunk.byteOffset % LEAF_BYTES === 0) for (const leaf of wanted) this.#damaged.delete(leaf);
    // A decode that ends after the attempt must not write where the next one may have verified.
    const take = (bytes: Uint8Array) =>
      this.#isOver ? undefined : this.#take({ ...chunk, codec: "none", bytes }, wanted);
    const damaged = (error: unknown) => this.#chunkDamaged(wanted, error);
    let raw: Uint8Array | Promise<Uint8Array>;
    try {
      raw = decodeChunk(chunk.bytes, chunk.codec, chunk.rawBytes, { codecs });
    } catch (error) {
      return damaged(error);
    }
    return raw instanceof Promise ? raw.then(take, damaged) : take(raw);
  }

  #take(chunk: TensorChunk, wanted: ReadonlySet<number>): Promise<void> | undefined {
    const { byteOffset } = chunk;
    try {
      // Where the leaf's digest will tell the same and more, the checksum is not looked at.
      if (this.#options.digest === "none") verifyChecksum(chunk);
    } catch (error) {
      this.#chunkDamaged(wanted, error);
      return undefined;
    }
    let whole: WholeLeaf[] = [];
    if (!this.#damaged.has(Math.floor(byteOffset / LEAF_BYTES))) {
      const placed = this.#buffers.place(byteOffset, chunk.bytes);
      whole = this.#leaves.add(byteOffset, placed).filter((leaf) => wanted.has(leaf.index));
    }
    this.#busy += whole.length;
    this.#lessBusy();
    let last: Promise<void> | undefined;
    for (const leaf of whole) {
      last = last ? last.then(() => this.#verify(leaf)) : this.#verify(leaf);
    }
    return last;
  }

  #verify(leaf: WholeLeaf): Promise<void> | undefined {
    const { context, digest: mode } = this.#options;
    const bytes = this.#buffers.whole(leaf.index, leaf.parts);
    if (mode === "none") {
      this.#store({ index: leaf.index, digest: NO_DIGEST }, bytes);
      return undefined;
    }
    const digest = context.sha256([bytes]);
    const judge = (found: Uint8Array): void => {
      const wanted = this.#expected.get(leaf.index);
      this.#expected.delete(leaf.index);
      if (!wanted) throw new ProtocolError(`The peer sent leaf ${leaf.index} without its digest`);
      if (equalBytes(found, wanted)) {
        this.#store({ index: leaf.index, digest: found }, bytes);
        return;
      }
      this.#options.onDamaged([leaf.index], `Leaf ${leaf.index} does not match its digest`);
      this.#lessBusy();
    };
    if (digest instanceof Promise) return digest.then(judge);
    judge(digest);
    return undefined;
  }

  #store(leaf: LeafDigest, bytes: Uint8Array): void {
    const { sink, context, priority, onSafe, onFault } = this.#options;
    // A turn that comes after the end is not used: the sink is let go by then.
    const write = () => (this.#isOver ? Promise.resolve() : sink.write(leaf, bytes));
    this.#writes++;
    const written = sink.pace === "disk" ? context.disk.run(priority, write) : write();
    written
      .then(() => {
        this.#writes--;
        this.#buffers.free(leaf.index);
        if (this.#isOver) return;
        this.#expected.delete(leaf.index);
        onSafe(leaf, bytes.byteLength);
        this.#lessBusy();
      })
      .catch(onFault);
  }

  #chunkDamaged(wanted: ReadonlySet<number>, error: unknown): void {
    if (!(error instanceof IntegrityError)) throw error;
    const leaves = [...wanted].filter((leaf) => !this.#damaged.has(leaf));
    for (const leaf of leaves) {
      this.#damaged.add(leaf);
      this.#leaves.drop(leaf);
    }
    if (leaves.length > 0) this.#options.onDamaged(leaves, error.message);
    this.#lessBusy();
  }

  #lessBusy(): void {
    this.#busy--;
    this.#options.onIdle();
  }
}
