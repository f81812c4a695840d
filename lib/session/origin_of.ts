// This module runs in every runtime.
import type { PushOrigin } from "../tensor/sink.ts";
import type { Offer } from "../wire/messages.ts";
import type { Channel } from "./channel.ts";

/** Where a tensor that is offered over a channel comes from. */
export async function originOf(channel: Channel, offer: Offer): Promise<PushOrigin> {
  const { instance, node } = await channel.link.remoteHello;
  const { version, open: openEnded = false } = offer;
  return { version, instance, node, over: channel.link.closed, openEnded };
}
