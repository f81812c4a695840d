// What the tests that stop processes and the processes themselves agree on.
import type { TensorPeerOptions } from "../../../lib/session/peer_options.ts";
import type { TensorAddress } from "../../../lib/tensor/address.ts";

export const ADDRESS: TensorAddress = { model: "m", partition: "default", tensor: "w" };

/** Peers that soon take a silent one for dead. */
export function peerOptions(maxRetries: number): TensorPeerOptions {
  return {
    codecs: [],
    retry: { maxRetries, baseDelayMs: 20, maxDelayMs: 100 },
    limits: { pingIntervalMs: 200, idleTimeoutMs: 1000, helloTimeoutMs: 1000 },
  };
}
