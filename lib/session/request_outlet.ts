// This module runs in every runtime.
import type { PartBytes } from "../tensor/part.ts";
import type { PushOrigin, TensorSink } from "../tensor/sink.ts";
import type { Offer } from "../wire/messages.ts";
import { askedPart } from "./asked_part.ts";
import { LeafSink } from "./leaf_sink.ts";
import { MemorySink } from "./memory_sink.ts";
import type { RequestOptions } from "./peer_options.ts";
import { PrefilledSink } from "./prefilled_sink.ts";
import { StreamSink } from "./stream_sink.ts";

/** Where the tensor of a request goes, over all its attempts. */
export interface RequestOutlet {
  /** The sink of one attempt; `origin` tells where the tensor comes from. */
  readonly open: (offer: Offer, origin: PushOrigin) => Promise<TensorSink> | TensorSink;
  /** The stream that the caller reads, for `into: "stream"`. */
  readonly stream?: StreamSink;
  /** What is in memory, for `into: "memory"`, once it is complete. */
  readonly takeBytes?: () => Uint8Array;
  /** The memory that a whole tensor goes to, once its length is known. */
  readonly memory?: () => MemorySink | undefined;
}

/**
 * Makes the outlet that a request's options ask for.
 *
 * @param held Memory that has the tensor already, or some of it.
 * @param onCancel Called when the reader of a stream wants no more.
 */
export function createOutlet(
  options: RequestOptions,
  held: MemorySink | undefined,
  onCancel: (reason: unknown) => void,
): RequestOutlet {
  const { into = "stream" } = options;
  const partOf = (offer: Offer): PartBytes | undefined => askedPart(offer.descriptor, options);
  // A tensor that has another length by now has nothing to resume from.
  const isOfLength = ({ open, descriptor }: Offer): boolean =>
    !open && held?.descriptor.byteLength === descriptor.byteLength;
  const prefilled = (offer: Offer, sink: TensorSink): TensorSink =>
    held && isOfLength(offer) ? new PrefilledSink(sink, held) : sink;
  if (typeof into === "function") {
    return { open: async (offer) => prefilled(offer, await into(offer)) };
  }
  if (typeof into === "object") {
    const accept: RequestOutlet["open"] = ({ address, descriptor }, origin) =>
      into.accept(address, descriptor, origin);
    return { open: async (offer, origin) => prefilled(offer, await accept(offer, origin)) };
  }
  if (into === "stream") {
    const stream = new StreamSink(onCancel);
    return {
      stream,
      open: (offer) => prefilled(offer, stream.attach(offer.descriptor, partOf(offer))),
    };
  }
  let memory: MemorySink | undefined = held;
  let leaves: LeafSink | undefined;
  let part: PartBytes | undefined;
  return {
    memory: () => memory,
    takeBytes: () => leaves?.bytes(part?.from, part?.end) ?? (memory as MemorySink).bytes,
    open: (offer) => {
      part = partOf(offer);
      if (part || offer.open) {
        leaves ??= new LeafSink(offer.descriptor);
        return leaves;
      }
      if (memory?.descriptor.byteLength !== offer.descriptor.byteLength) {
        memory = new MemorySink(offer.descriptor);
      }
      return memory;
    },
  };
}
