// This module runs in every runtime.
import type { TensorAddress } from "../tensor/address.ts";
import { LEAF_BYTES } from "../tensor/leaf.ts";
import type { Attempt } from "./attempts.ts";
import type { Channel } from "./channel.ts";
import type { StreamOptions } from "./peer_options.ts";
import { Sending } from "./sending.ts";
import { isSmall, SmallSending } from "./small_sending.ts";
import { sourceOf, type TensorInput } from "./tensor_input.ts";
import type { Transfer } from "./transfer.ts";
import { identityOf, type TransferMaking } from "./transfer_table.ts";

/** What is kept of a stream that cannot be read again, unless its chunks take more. */
const DEFAULT_REPLAY_BYTES = 32 * 1024 * 1024;

/** Sends a tensor, as often as it takes. */
export function pushTensor(
  { context, attempts, transfers }: TransferMaking,
  address: TensorAddress,
  tensor: TensorInput,
  options: StreamOptions,
): Transfer {
  const identity = identityOf(address, options);
  const leastReplayBytes = 4 * Math.max(LEAF_BYTES, context.chunkBytes);
  const replayBytes = options.replayBytes ?? Math.max(DEFAULT_REPLAY_BYTES, leastReplayBytes);
  if (replayBytes < leastReplayBytes) {
    throw new RangeError(
      `replayBytes must be four chunks, ${leastReplayBytes}, or more, found ${replayBytes}`,
    );
  }
  const source = sourceOf(tensor, { ...options, replayBytes });
  const { transfer, meter } = transfers.begin(identity, "out", options);
  const digest = options.digest ?? context.digest;
  const attempt = (channel: Channel, epoch: number): Attempt => {
    transfer.enter("moving", source.descriptor);
    const { id } = identity;
    const { priority } = transfer;
    const shared = { channel, context: context, source, meter, priority };
    if (isSmall(source)) {
      const push = { id, epoch, address };
      return new SmallSending({ ...shared, address, digest, push });
    }
    return new Sending({
      ...shared,
      offer: { id, epoch, address, digest },
      onReprioritise: (other) => transfer.reprioritised(other),
      onPause: (isPaused) => transfer.pausedThere(isPaused),
    });
  };
  void attempts.drive({ transfer, meter, isPinned: false, attempt });
  // What the peer made for this transfer, it also lets go of.
  if (source !== tensor) {
    const over = () => void source.close?.();
    transfer.done.then(over, over);
  }
  return transfer;
}
