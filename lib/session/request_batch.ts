// This module runs in every runtime.
import { ProtocolError } from "../errors.ts";
import type { TensorAddress } from "../tensor/address.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { SourceVersion } from "../tensor/source.ts";
import { encodeChecked } from "../wire/control.ts";
import { FRAME, type FrameHeader, frameName } from "../wire/frame_header.ts";
import type { DigestMode } from "../wire/messages.ts";
import { encodeRequestList } from "../wire/request_list.ts";
import type { TensorFrame } from "../wire/tensor_frame.ts";
import type { Channel, StreamParty } from "./channel.ts";
import type { SessionContext } from "./session_context.ts";
import { openSmall } from "./small_receiving.ts";

/** A tensor that came whole into memory. */
export interface ReceivedTensor {
  readonly address: TensorAddress;
  readonly descriptor: TensorDescriptor;
  readonly version: SourceVersion;
  /** The verified bytes; they are the caller's. */
  readonly bytes: Uint8Array;
}

/** Who is told what comes of a batch. */
export interface RequestBatchOptions {
  readonly channel: Channel;
  readonly context: SessionContext;
  readonly digest: DigestMode;
  readonly priority: number;
  readonly onTensor: (tensor: ReceivedTensor) => void;
  /** The tensor could not be had this way; `error` says why, and may be that it is too large. */
  readonly onFailed: (address: TensorAddress, error: unknown) => void;
}

/** What fits into one frame with its check. */
const LIST_BYTES = 32 * 1024;

/** The asking end of request lists over one connection. */
export class RequestBatch implements StreamParty {
  readonly #options: RequestBatchOptions;
  readonly #asked = new Map<number, TensorAddress>();

  constructor(options: RequestBatchOptions) {
    this.#options = options;
  }

  /** Requests that have no answer yet. */
  get size(): number {
    return this.#asked.size;
  }

  /** Asks for these, in their order. */
  ask(addresses: readonly TensorAddress[]): void {
    const { channel, digest, priority } = this.#options;
    for (let at = 0; at < addresses.length; ) {
      const list = { digest, priority, addresses };
      const { body, count } = encodeRequestList(list, at, LIST_BYTES);
      const first = channel.add(this, count);
      for (let n = 0; n < count; n++) {
        this.#asked.set(first + 2 * n, addresses[at + n] as TensorAddress);
      }
      channel.link.send(encodeChecked(FRAME.requests, first, body));
      at += count;
    }
  }

  frame(header: FrameHeader): void {
    throw new ProtocolError(`The peer answered a list with a ${frameName(header.type)} frame`);
  }

  tensor(stream: number, tensor: TensorFrame): void {
    const { context, digest, channel } = this.#options;
    const { codecs } = context;
    const damaged = (error: unknown) => {
      channel.consumed(tensor.descriptor.byteLength);
      channel.refuse(stream, error);
      this.fail(error, stream);
    };
    try {
      const own = { ...tensor, data: tensor.data.slice() };
      const opened = openSmall(own, { context, digest, codecs });
      if (opened instanceof Promise) {
        opened.then((bytes) => this.#came(stream, tensor, bytes), damaged);
      } else {
        this.#came(stream, tensor, opened);
      }
    } catch (error) {
      damaged(error);
    }
  }

  #came(stream: number, { descriptor, version }: TensorFrame, bytes: Uint8Array): void {
    const address = this.#asked.get(stream);
    const { channel, onTensor } = this.#options;
    if (!address) {
      channel.consumed(bytes.byteLength);
      return;
    }
    this.#asked.delete(stream);
    channel.confirm(stream);
    onTensor({ address, descriptor, version, bytes });
  }

  fail(error: unknown, stream: number): void {
    const address = this.#asked.get(stream);
    if (!address) return;
    this.#asked.delete(stream);
    this.#options.onFailed(address, error);
  }

  /** Nobody wants the rest any more. */
  cancel(reason: unknown): void {
    for (const stream of this.#asked.keys()) this.#options.channel.refuse(stream, reason);
    this.#asked.clear();
  }
}
