// This module runs in every runtime.
import { IntegrityError, LimitError } from "../errors.ts";
import { createDescriptor, type TensorDescriptor } from "../tensor/descriptor.ts";
import type { DType } from "../tensor/dtype.ts";
import { OpenEnd } from "../tensor/open_end.ts";
import { SliceReader } from "./slice_reader.ts";

/** The tensor that a stream holds. */
export interface StreamedTensor {
  readonly dtype: DType;
  /**
   * Of an open-ended tensor, the first dimension is the most rows that may come; `Infinity` is as
   * many as 1 TiB holds.
   */
  readonly shape: readonly number[];
  /** Whether the first dimension is known only when the stream has ended. Default `false`. */
  readonly openEnded?: boolean;
}

const NOTHING: Uint8Array = new Uint8Array();

/**
 * A stream that is held to the tensor that it should hold, and asked for one slice at a time, when
 * the one before has been used up.
 */
export class StreamFeed {
  /** The tensor; of an open-ended one, the largest it may become. */
  readonly descriptor: TensorDescriptor;
  readonly #reader: SliceReader;
  readonly #openEnd: OpenEnd | undefined;
  #slice: Uint8Array = NOTHING;
  #receivedBytes = 0;
  #pulling: Promise<void> | undefined;
  #ended: TensorDescriptor | undefined;
  #failure: { readonly error: unknown } | undefined;

  /** @throws {TypeError | RangeError} for a stream that is locked, and a tensor that cannot be. */
  constructor(stream: ReadableStream<Uint8Array>, tensor: StreamedTensor) {
    if (stream.locked) throw new TypeError("Cannot send a tensor from a stream that is locked");
    const { dtype, shape, openEnded = false } = tensor;
    this.#openEnd = openEnded ? new OpenEnd(dtype, shape) : undefined;
    this.descriptor = this.#openEnd?.cap ?? createDescriptor(dtype, shape);
    this.#reader = new SliceReader(stream);
  }

  get isOpenEnded(): boolean {
    return this.#openEnd !== undefined;
  }

  /** The tensor as it is, once the stream has ended. */
  get ended(): TensorDescriptor | undefined {
    return this.#ended;
  }

  /** Bytes that the stream has given, used up or not. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** What is left of the last slice. */
  get slice(): Uint8Array {
    return this.#slice;
  }

  /** So many bytes of the slice are used up. */
  skip(byteLength: number): void {
    this.#slice = this.#slice.subarray(byteLength);
  }

  /** @throws what the feed failed with, if it has. */
  throwFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }

  /**
   * Gets the next slice, which may be empty, or learns that the stream has ended. All who ask while
   * it is on its way get the same.
   *
   * @throws the stream's own error.
   * @throws {IntegrityError} at source, when the stream has more or fewer bytes than the tensor.
   * @throws {LimitError} when an open-ended tensor has more rows than it may.
   */
  pull(): Promise<void> {
    this.#pulling ??= this.#pull().finally(() => {
      this.#pulling = undefined;
    });
    return this.#pulling;
  }

  /** Nothing is wanted any more. The first failure is the one that counts. */
  async fail(error: unknown): Promise<void> {
    this.#failure ??= { error };
    this.#slice = NOTHING;
    // A stream that has ended, or failed by itself, takes no notice.
    await this.#reader.cancel(error).catch(() => {});
  }

  async #pull(): Promise<void> {
    try {
      // Its memory is read into again.
      this.#slice = NOTHING;
      const { done, value } = await this.#reader.read();
      this.throwFailure();
      if (done) this.#end();
      else this.#take(value);
    } catch (error) {
      void this.fail(error);
      throw error;
    }
  }

  #take(slice: unknown): void {
    if (!(slice instanceof Uint8Array)) {
      throw new TypeError(`A tensor's stream gives Uint8Array, found ${kindOf(slice)}`);
    }
    const { byteLength: wanted } = this.descriptor;
    this.#receivedBytes += slice.byteLength;
    this.#slice = slice;
    if (this.#receivedBytes <= wanted) return;
    const details = { byteOffset: wanted, retryable: false };
    const found = `but its stream gave at least ${this.#receivedBytes}`;
    throw this.isOpenEnded
      ? new LimitError(`The tensor may have ${wanted} bytes, ${found}`, details)
      : new IntegrityError("source", `The tensor has ${wanted} bytes, ${found}`, details);
  }

  #end(): void {
    const { byteLength: wanted } = this.descriptor;
    if (!this.#openEnd && this.#receivedBytes < wanted) {
      throw new IntegrityError(
        "source",
        `The tensor has ${wanted} bytes, but its stream ended after ${this.#receivedBytes}`,
        { byteOffset: this.#receivedBytes, retryable: false },
      );
    }
    this.#ended = this.#openEnd?.ended(this.#receivedBytes) ?? this.descriptor;
  }
}

const kindOf = (value: unknown): string =>
  typeof value === "object" && value !== null
    ? (value.constructor?.name ?? "object")
    : typeof value;
