// This module runs in every runtime.
import { IntegrityError, ProtocolError } from "../errors.ts";
import { formatAddress } from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { TensorSource, TensorStore } from "../tensor/source.ts";
import { decodeMessage } from "../wire/control.ts";
import { FRAME, type FrameHeader, frameName } from "../wire/frame_header.ts";
import type { Request } from "../wire/messages.ts";
import { pauseShape, reprioritiseShape } from "../wire/transfer_shapes.ts";
import { askedPart } from "./asked_part.ts";
import type { Channel, StreamParty } from "./channel.ts";
import { Sending } from "./sending.ts";
import type { SessionContext } from "./session_context.ts";
import { isSmall, SmallSending } from "./small_sending.ts";
import type { TransferMeter } from "./transfer_meter.ts";

/** What a {@linkcode Serving} answers, and from where. */
export interface ServingOptions {
  readonly channel: Channel;
  readonly context: SessionContext;
  readonly meter: TransferMeter;
  readonly stream: number;
  readonly request: Request;
  readonly store: TensorStore;
  /** Told what the tensor is. */
  readonly onDescriptor?: (descriptor: TensorDescriptor) => void;
  readonly onReprioritise?: (priority: number) => void;
  readonly onPause?: (isPaused: boolean) => void;
}

/** Answers one request: opens the tensor, holds it to the version that was asked for, sends it. */
export class Serving implements StreamParty {
  readonly done: Promise<void>;
  readonly #options: ServingOptions;
  #sending: Sending | SmallSending | undefined;
  /** Frames that came before the tensor was open. */
  #priority: number;
  #isPausedHere = false;
  #isPausedThere = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: ServingOptions) {
    this.#options = options;
    this.#priority = options.request.priority;
    this.done = this.#serve();
    this.done.catch(() => {});
  }

  frame(header: FrameHeader, payload: Uint8Array): void {
    if (this.#sending) {
      this.#sending.frame(header, payload);
      return;
    }
    if (header.type === FRAME.reprioritise) {
      this.#priority = decodeMessage(reprioritiseShape, header, payload).priority;
      this.#options.onReprioritise?.(this.#priority);
    } else if (header.type === FRAME.pause) {
      this.#isPausedThere = decodeMessage(pauseShape, header, payload).paused;
      this.#options.onPause?.(this.#isPausedThere);
    } else {
      throw new ProtocolError(`The peer sent a ${frameName(header.type)} frame before the offer`);
    }
  }

  work(): Promise<void> {
    return this.done;
  }

  /** Settles when nothing is sent any more. */
  quiet(): Promise<void> {
    return this.done.catch(() => {});
  }

  receipt(): void {
    if (this.#sending instanceof SmallSending) this.#sending.receipt();
    else throw new ProtocolError("The peer confirmed a tensor that was not sent in one frame");
  }

  /** Another priority from now on. */
  reprioritise(priority: number): void {
    this.#priority = priority;
    this.#sending?.reprioritise(priority);
  }

  /** Begins no new chunk until it is resumed. */
  pause(isPaused: boolean): void {
    this.#isPausedHere = isPaused;
    this.#sending?.pause(isPaused);
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#sending?.fail(error);
  }

  /** Ends the transfer from this end, and tells the other why. */
  cancel(reason: unknown): void {
    if (this.#sending) {
      this.#sending.cancel(reason);
      return;
    }
    this.fail(reason);
    this.#options.channel.refuse(this.#options.stream, reason);
  }

  async #serve(): Promise<void> {
    const { channel, stream, store, request, context, meter } = this.#options;
    let source: TensorSource | undefined;
    try {
      source = await store.open(request.address);
      await checkVersion(request, source);
      askedPart(source.descriptor, request);
      this.#options.onDescriptor?.(source.descriptor);
    } catch (error) {
      await source?.close?.();
      if (!this.#failure) channel.refuse(stream, error);
      throw error;
    }
    try {
      if (this.#failure) throw this.#failure.error;
      const { id, epoch, address, digest } = request;
      const priority = this.#priority;
      const shared = { channel, context, source, meter, stream, priority };
      if (isSmall(source)) {
        this.#sending = new SmallSending({ ...shared, address, digest });
      } else {
        const { onReprioritise, onPause } = this.#options;
        const sending = new Sending({
          ...shared,
          offer: { id, epoch, address, digest },
          part: request,
          ...(onReprioritise && { onReprioritise }),
          ...(onPause && { onPause }),
        });
        this.#sending = sending;
        if (this.#isPausedHere) sending.pause(true);
        if (this.#isPausedThere) sending.pausedByPeer();
      }
      await this.#sending.done;
    } finally {
      await source.close?.();
    }
  }
}

async function checkVersion(request: Request, source: TensorSource): Promise<void> {
  if (!request.version || equalBytes(request.version, await source.version())) return;
  const address = formatAddress(request.address);
  throw new IntegrityError("source", `${address} is not the version that was asked for any more`, {
    address,
  });
}
