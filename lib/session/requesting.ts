// This module runs in every runtime.
import type { TensorAddress } from "../tensor/address.ts";
import { encodeMessage } from "../wire/control.ts";
import type { Request } from "../wire/messages.ts";
import type { Channel } from "./channel.ts";
import type { MemorySink } from "./memory_sink.ts";
import { checkOffer } from "./offer_checks.ts";
import { originOf } from "./origin_of.ts";
import type { RequestOptions } from "./peer_options.ts";
import { Receiving } from "./receiving.ts";
import { createOutlet, type RequestOutlet } from "./request_outlet.ts";
import type { Transfer } from "./transfer.ts";
import { identityOf, type TransferMaking } from "./transfer_table.ts";

/** A tensor that was asked for, and where it goes. */
export interface Requested {
  readonly transfer: Transfer;
  readonly outlet: RequestOutlet;
}

/** Asks for a tensor, as often as it takes; `held` is memory that has some of it already. */
export function requestTensor(
  { context, attempts, transfers }: TransferMaking,
  address: TensorAddress,
  options: RequestOptions,
  held?: MemorySink,
): Requested {
  const { version, root, rows, bytes, digest = context.digest } = options;
  const outlet = createOutlet(options, held, (reason) => transfer.cancel(reason));
  const { stream, takeBytes } = outlet;
  const outlets = {
    ...(stream && { readable: stream.readable }),
    ...(takeBytes && { takeBytes }),
  };
  const identity = identityOf(address, options);
  const { transfer, meter } = transfers.begin(identity, "in", options, outlets);
  const attempt = (channel: Channel, epoch: number): Receiving => {
    const { priority } = transfer;
    const request: Request = {
      ...identity,
      epoch,
      priority,
      digest,
      ...(version && { version }),
      ...(rows && { rows }),
      ...(bytes && { bytes }),
    };
    const receiving = new Receiving({
      channel,
      context,
      meter,
      digest,
      identity: { ...identity, epoch, priority },
      part: options,
      ...(root && { root }),
      priority: () => transfer.priority,
      ...(stream && { isReaderWaiting: () => stream.isWaiting }),
      open: async (offer) => {
        checkOffer(offer, request);
        transfer.enter("moving", offer.descriptor);
        return outlet.open(offer, await originOf(channel, offer));
      },
      onDescriptor: (descriptor) => transfer.enter("moving", descriptor),
      onPhase: (phase) => transfer.enter(phase === "verifying" ? phase : "moving"),
      onReprioritise: (priority) => transfer.reprioritised(priority),
      onPause: (isPaused) => transfer.pausedThere(isPaused),
    });
    if (stream) stream.onWaiting = () => receiving.readerWaits();
    channel.link.send(encodeMessage("request", receiving.stream, request));
    return receiving;
  };
  void attempts.drive({ transfer, meter, isPinned: version !== undefined, attempt });
  transfer.done.catch((reason) => stream?.fail(reason));
  return { transfer, outlet };
}
