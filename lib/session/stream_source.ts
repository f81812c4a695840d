// This module runs in every runtime.
import { News } from "../deferred.ts";
import type { LeafRange } from "../tensor/bitmap.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import { LEAF_BYTES } from "../tensor/leaf.ts";
import type { SourceVersion, TensorSource } from "../tensor/source.ts";
import { ReplayLeaves } from "./replay_leaves.ts";
import { type StreamedTensor, StreamFeed } from "./stream_feed.ts";

/** How a {@linkcode StreamSource} keeps what may be wanted again. */
export interface StreamSourceOptions {
  /**
   * The most memory for bytes that the other end has not acknowledged, at least 8 MiB; only whole
   * leaves of 1 MiB count. The slice that the stream gave last may come on top. Default 32 MiB.
   */
  readonly replayBytes?: number;
  /** What tells this tensor from others under the same address; random where left out. */
  readonly version?: SourceVersion;
}

const MiB = 1024 * 1024;
/** A receiver acknowledges after 2 MiB at the latest, but a window of chunks may be under way. */
const MIN_REPLAY_BYTES = 8 * MiB;
const DEFAULT_REPLAY_BYTES = 32 * MiB;

/**
 * A tensor that comes from a stream, in any slicing, which cannot be rewound. What the other end
 * has not acknowledged is kept, so that a transfer survives a cut; when the buffer is full, reading
 * on waits until {@linkcode StreamSource.acknowledged} makes room. The stream is asked only for
 * what somebody reads.
 *
 * The stream's own error is that of every read from then on. A stream that does not hold the
 * tensor's length is an `IntegrityError` at source.
 *
 * @example
 * ```ts
 * import { StreamSource } from "headrace";
 *
 * const stream = new Blob([new Float32Array([1, 2, 3, 4])]).stream();
 * const source = new StreamSource(stream, { dtype: "F32", shape: [2, 2] });
 * const row = new Uint8Array(8);
 * await source.read(8, row);
 * console.log(new Float32Array(row.buffer)); // Float32Array(2) [ 3, 4 ]
 * await source.close();
 * ```
 */
export class StreamSource implements TensorSource {
  /** A stream is read once. */
  readonly isReadOnce = true;
  readonly #feed: StreamFeed;
  /** The digests of what was read, which cannot be read again. */
  readonly leafDigests: Map<number, Uint8Array> = new Map();
  readonly #version: SourceVersion;
  readonly #mostLeaves: number;
  readonly #leaves: ReplayLeaves;
  /** Told when there is room, and when it is over. */
  readonly #news = new News();

  /**
   * Takes the stream for itself.
   *
   * @throws {TypeError | RangeError} for a tensor that cannot be, a stream that is locked, or fewer
   *   than 8 MiB of `replayBytes`.
   */
  constructor(
    stream: ReadableStream<Uint8Array>,
    tensor: StreamedTensor,
    options: StreamSourceOptions = {},
  ) {
    const { replayBytes = DEFAULT_REPLAY_BYTES } = options;
    if (!Number.isSafeInteger(replayBytes) || replayBytes < MIN_REPLAY_BYTES) {
      throw new RangeError(
        `replayBytes must be a whole number from ${MIN_REPLAY_BYTES} on, found ${replayBytes}`,
      );
    }
    this.#feed = new StreamFeed(stream, tensor);
    this.#version = options.version ?? crypto.getRandomValues(new Uint8Array(16));
    this.#mostLeaves = Math.floor(replayBytes / LEAF_BYTES);
    this.#leaves = new ReplayLeaves(this.#mostLeaves, this.descriptor.byteLength);
  }

  /** The tensor; of an open-ended one, the largest it may become. */
  get descriptor(): TensorDescriptor {
    return this.#feed.descriptor;
  }

  /** Whether the first dimension is known only when the stream has ended. */
  get isOpenEnded(): boolean {
    return this.#feed.isOpenEnded;
  }

  /** The tensor as it is; of an open-ended one, `undefined` until the stream has ended. */
  get finalDescriptor(): TensorDescriptor | undefined {
    return this.isOpenEnded ? this.#feed.ended : this.descriptor;
  }

  /** Memory that is taken by what may be wanted again; never above `replayBytes`. */
  get bufferedBytes(): number {
    return this.#leaves.keptBytes;
  }

  /** Always the same: a stream is read once. */
  async version(): Promise<SourceVersion> {
    // Of a tensor without bytes nothing is read that would show a stream that has some.
    if (this.descriptor.byteLength === 0) await this.#receive(0);
    return this.#version;
  }

  /**
   * Fills `into` with the bytes from `byteOffset` on, as soon as the stream has given them and there
   * is room for them. The last bytes of a tensor come when the stream has ended.
   *
   * @throws {SourceNotRewindableError} when a leaf of them was acknowledged and let go.
   * @throws {IntegrityError} at source, when the stream has more or fewer bytes than the tensor.
   * @throws {LimitError} when an open-ended tensor has more rows than it may.
   * @throws {RangeError} past the tensor's end, and for more bytes than `replayBytes` holds.
   */
  async read(byteOffset: number, into: Uint8Array): Promise<void> {
    await this.#reach(byteOffset, into.byteLength, () => this.#leaves.copy(byteOffset, into));
  }

  /**
   * Waits until `read` would have these bytes at once.
   *
   * @throws as {@linkcode StreamSource.read}.
   */
  async ready(byteOffset: number, byteLength: number): Promise<void> {
    await this.#reach(byteOffset, byteLength, () => {});
  }

  /**
   * Whether the tensor ends at or before `byteOffset`: waits until the stream has given a byte there
   * or has ended, and keeps what it gave. So the chunk before is known to be the last, or not.
   *
   * @returns the tensor's length, once it is known.
   * @throws as {@linkcode StreamSource.read}, but for `SourceNotRewindableError`.
   */
  async peekEnd(byteOffset: number): Promise<number | undefined> {
    if (!this.isOpenEnded) return this.descriptor.byteLength;
    await this.#receive(Math.min(byteOffset, this.descriptor.byteLength));
    while (!this.#feed.ended && this.#feed.receivedBytes <= byteOffset) await this.#pull();
    return this.#feed.ended?.byteLength;
  }

  /** These leaves are safe at the other end, and will not be read again. */
  acknowledged(ranges: readonly LeafRange[]): void {
    this.#leaves.letGo(ranges);
    this.#news.tell();
  }

  /** Cancels the stream, unless it has ended, and lets go of everything. Reads fail from here on. */
  async close(
    reason: unknown = new DOMException("The source was closed", "AbortError"),
  ): Promise<void> {
    const cancelled = this.#feed.fail(reason);
    this.#leaves.clear();
    this.#news.tell();
    await cancelled;
  }

  /** Waits until these bytes are in the buffer, and takes them from there. */
  async #reach<T>(byteOffset: number, byteLength: number, take: () => T): Promise<T> {
    this.#feed.throwFailure();
    const end = byteOffset + byteLength;
    if (!(byteOffset >= 0 && end <= (this.#feed.ended ?? this.descriptor).byteLength)) {
      throw this.#outside(byteOffset, end);
    }
    const leaves = Math.ceil(end / LEAF_BYTES) - Math.floor(byteOffset / LEAF_BYTES);
    if (leaves > this.#mostLeaves) {
      throw new RangeError(
        `Cannot read ${byteLength} bytes at once: replayBytes holds ${this.#mostLeaves} leaves of ${LEAF_BYTES} bytes`,
      );
    }
    this.#leaves.check(byteOffset, byteLength);
    await this.#receive(end);
    this.#feed.throwFailure();
    if (end > this.#leaves.filledBytes) throw this.#outside(byteOffset, end);
    return take();
  }

  #outside(byteOffset: number, end: number): RangeError {
    const { byteLength } = this.#feed.ended ?? this.descriptor;
    return new RangeError(
      `The tensor has ${byteLength} bytes, but ${byteOffset} to ${end} were asked for`,
    );
  }

  /** Moves the stream on until everything before `end` has come, or the stream has ended. */
  async #receive(end: number): Promise<void> {
    for (;;) {
      this.#feed.throwFailure();
      const wanted = Math.max(end - this.#leaves.filledBytes, 0);
      this.#feed.skip(this.#leaves.fill(this.#feed.slice.subarray(0, wanted)));
      const isHere = this.#leaves.filledBytes >= end;
      if (this.#feed.ended || (isHere && end < this.descriptor.byteLength)) return;
      if (this.#feed.slice.byteLength > 0) await this.#news.wait();
      else await this.#pull();
    }
  }

  async #pull(): Promise<void> {
    try {
      await this.#feed.pull();
    } catch (error) {
      // Nothing that was kept can become a whole tensor.
      this.#leaves.clear();
      throw error;
    }
    if (this.#feed.ended) this.#leaves.end();
  }
}
