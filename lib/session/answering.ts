// This module runs in every runtime.
import { LimitError, NotFoundError, ProtocolError, UnauthorisedError } from "../errors.ts";
import type { TensorSink } from "../tensor/sink.ts";
import type { TensorStore } from "../tensor/source.ts";
import { decodeChecked, decodeMessage } from "../wire/control.ts";
import { FRAME, type FrameHeader } from "../wire/frame_header.ts";
import type { DigestMode, Offer } from "../wire/messages.ts";
import { decodeRequestList } from "../wire/request_list.ts";
import { requestShape } from "../wire/request_shapes.ts";
import { listShape, subscribeShape } from "../wire/store_shapes.ts";
import type { TensorFrame, TensorPush } from "../wire/tensor_frame.ts";
import { offerShape } from "../wire/transfer_shapes.ts";
import type { AttemptFences } from "./attempt_fences.ts";
import type { Attempt, Attempts } from "./attempts.ts";
import type { Channel, StreamParty } from "./channel.ts";
import { ListServing } from "./list_serving.ts";
import { ListingAnswer } from "./listing.ts";
import { originOf } from "./origin_of.ts";
import type { TensorPeerOptions } from "./peer_options.ts";
import { Receiving } from "./receiving.ts";
import { Serving } from "./serving.ts";
import type { SessionContext } from "./session_context.ts";
import type { TransferIdentity } from "./small_receiving.ts";
import { SubscriptionAnswer } from "./subscription_answer.ts";
import type { Transfer } from "./transfer.ts";
import type { TransferMeter } from "./transfer_meter.ts";

/** What {@linkcode Answering} answers with. */
export interface AnsweringOptions {
  readonly context: SessionContext;
  readonly peer: Pick<TensorPeerOptions, "store" | "sinks" | "onTransfer">;
  readonly attempts: Attempts;
  readonly fences: AttemptFences;
  /** Makes the transfer of a stream that the other end began. */
  readonly transfer: (
    identity: TransferIdentity,
    direction: "in" | "out",
  ) => { readonly transfer: Transfer; readonly meter: TransferMeter };
}

/** Takes the streams that the other end begins: requests, pushes, listings, subscriptions. */
export class Answering {
  readonly #options: AnsweringOptions;
  #subscriptions = 0;

  constructor(options: AnsweringOptions) {
    this.#options = options;
  }

  /** Takes the stream, or those of a list, that this frame begins. */
  open(channel: Channel, header: FrameHeader, payload: Uint8Array, tensor?: TensorFrame): void {
    const { context, peer } = this.#options;
    const { stream } = header;
    const store = peer.store ?? NO_STORE;
    switch (header.type) {
      case FRAME.list: {
        const list = decodeMessage(listShape, header, payload);
        channel.took(stream, new ListingAnswer(channel, stream, list, store, context));
        return;
      }
      case FRAME.requests: {
        const list = decodeRequestList(decodeChecked(header, payload));
        const serving = new ListServing({ channel, context, store, list, firstStream: stream });
        channel.tookList(header, list.addresses.length, serving);
        serving.begin();
        return;
      }
      case FRAME.subscribe:
        this.#subscribe(channel, header, payload, store);
        return;
      case FRAME.request:
        this.#serve(channel, header, payload, store);
        return;
      default:
        this.#receive(channel, header, payload, tensor);
    }
  }

  #subscribe(channel: Channel, header: FrameHeader, payload: Uint8Array, store: TensorStore): void {
    const { context } = this.#options;
    const most = context.limits.maxSubscriptions;
    const subscribe = decodeMessage(subscribeShape, header, payload);
    this.#subscriptions++;
    const onOver = () => {
      this.#subscriptions--;
    };
    const options = { channel, context, store, stream: header.stream, subscribe, onOver };
    const answer = new SubscriptionAnswer(options);
    channel.took(header.stream, answer);
    if (this.#subscriptions <= most) answer.begin();
    else
      answer.refuse(new LimitError(`At most ${most} subscriptions are kept`, { retryable: true }));
  }

  #serve(channel: Channel, header: FrameHeader, payload: Uint8Array, store: TensorStore): void {
    const { context } = this.#options;
    const request = decodeMessage(requestShape, header, payload);
    const { transfer, meter } = this.#options.transfer(request, "out");
    transfer.enter("moving");
    const serving = new Serving({
      channel,
      context,
      meter,
      stream: header.stream,
      request,
      store,
      onDescriptor: (descriptor) => transfer.enter("moving", descriptor),
      onReprioritise: (priority) => transfer.reprioritised(priority),
      onPause: (isPaused) => transfer.pausedThere(isPaused),
    });
    this.#fence(request, serving).catch((error) => serving.cancel(error));
    this.#follow(channel, header.stream, transfer, serving);
  }

  #receive(
    channel: Channel,
    header: FrameHeader,
    payload: Uint8Array,
    tensor: TensorFrame | undefined,
  ): void {
    const { context, peer } = this.#options;
    const offer = tensor ? undefined : decodeMessage(offerShape, header, payload);
    const identity = offer ?? pushOf(tensor);
    const digest: DigestMode = offer?.digest ?? (isHashed(tensor) ? "sha256" : "none");
    const { transfer, meter } = this.#options.transfer(identity, "in");
    transfer.enter("moving", offer?.descriptor ?? tensor?.descriptor);
    const open = async (taken: Offer): Promise<TensorSink> => {
      if (!peer.sinks) throw new UnauthorisedError("This peer takes no pushes");
      await older;
      const origin = await originOf(channel, taken);
      return peer.sinks.accept(taken.address, taken.descriptor, origin);
    };
    const { stream } = header;
    const receiving = new Receiving({
      channel,
      context,
      meter,
      digest,
      identity,
      open,
      priority: () => transfer.priority,
      stream,
      onPhase: (phase) => transfer.enter(phase === "verifying" ? phase : "moving"),
      onReprioritise: (priority) => transfer.reprioritised(priority),
      onPause: (isPaused) => transfer.pausedThere(isPaused),
    });
    const older = this.#fence(identity, receiving);
    older.catch((error) => receiving.cancel(error));
    if (offer) receiving.offered(offer);
    else if (tensor) receiving.tensor(stream, tensor);
    this.#follow(channel, stream, transfer, receiving);
  }

  /** Ends an older attempt at the same transfer; kept when that writes no more. */
  async #fence({ id, epoch }: TransferIdentity, attempt: Receiving | Serving): Promise<void> {
    const end = (reason: unknown) => attempt.cancel(reason);
    return this.#options.fences.enter(id, { epoch, end, over: attempt.quiet() });
  }

  #follow(
    channel: Channel,
    stream: number,
    transfer: Transfer,
    attempt: Attempt & StreamParty,
  ): void {
    channel.took(stream, attempt);
    this.#options.attempts.follow(transfer, attempt);
    this.#options.peer.onTransfer?.(transfer);
  }
}

/** @throws {ProtocolError} for a tensor that answers a request, where nothing was asked for. */
function pushOf(tensor: TensorFrame | undefined): TensorPush {
  if (tensor?.push) return tensor.push;
  throw new ProtocolError("The peer sent a tensor that does not say where it belongs");
}

/** A tensor without bytes has no digest in either mode: it is taken for hashed. */
function isHashed(tensor: TensorFrame | undefined): boolean {
  return tensor?.digest !== undefined || tensor?.descriptor.byteLength === 0;
}

const NO_STORE: TensorStore = {
  async *list() {},
  open: () => Promise.reject(new NotFoundError("This peer serves nothing")),
};
