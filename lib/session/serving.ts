// This module runs in every runtime.
import { IntegrityError, ProtocolError } from "../errors.ts";
import { formatAddress } from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { TensorSource, TensorStore } from "../tensor/source.ts";
import { type FrameHeader, frameName } from "../wire/frame_header.ts";
import type { Request } from "../wire/messages.ts";
import type { Channel, StreamParty } from "./channel.ts";
import { Sending } from "./sending.ts";
import type { SessionContext } from "./session_context.ts";
import type { TransferMeter } from "./transfer_meter.ts";

/** What a {@linkcode Serving} answers, and from where. */
export interface ServingOptions {
  readonly channel: Channel;
  readonly context: SessionContext;
  readonly meter: TransferMeter;
  readonly stream: number;
  readonly request: Request;
  readonly store: TensorStore;
}

/** Answers one request: opens the tensor, holds it to the version that was asked for, sends it. */
export class Serving implements StreamParty {
  readonly done: Promise<void>;
  readonly #options: ServingOptions;
  #sending: Sending | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: ServingOptions) {
    this.#options = options;
    this.done = this.#serve();
    this.done.catch(() => {});
  }

  frame(header: FrameHeader, payload: Uint8Array): void {
    if (this.#sending) {
      this.#sending.frame(header, payload);
      return;
    }
    throw new ProtocolError(`The peer sent a ${frameName(header.type)} frame before the offer`);
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
    } catch (error) {
      await source?.close?.();
      if (!this.#failure) channel.refuse(stream, error);
      throw error;
    }
    try {
      if (this.#failure) throw this.#failure.error;
      const { id, epoch, address, priority, digest } = request;
      const offer = { id, epoch, address, priority, digest };
      this.#sending = new Sending({ channel, context, source, offer, meter, stream });
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
