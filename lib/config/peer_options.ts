// This module runs in every runtime.
import type { TensorPeerOptions } from "../session/peer_options.ts";
import { KNOWN_CODECS } from "./known_codecs.ts";
import type { Settings } from "./settings.ts";

/**
 * The settings as a `TensorPeer` takes them. What a peer has no say in is left to whoever makes its
 * connections: `enabled`, files of tokens and certificates, `connect_timeout`, checkpoints, logs.
 *
 * @example
 * ```ts
 * import { TensorPeer } from "headrace";
 * import { peerOptions, resolveSettings } from "headrace/config";
 * import { connectionPair } from "headrace/memory";
 *
 * // Where there is neither a file system nor an environment, both are passed in.
 * const text = '{"node_name": "edge-1", "tensor_protocol": {"chunk_size": "256KiB"}}';
 * const { settings } = resolveSettings({ file: { name: "cluster.json", text } });
 *
 * const [here, there] = connectionPair();
 * await using peer = new TensorPeer(here, peerOptions(settings));
 * there.close();
 * ```
 */
export function peerOptions(settings: Settings): TensorPeerOptions {
  return {
    node: settings.nodeName,
    role: settings.nodeRole,
    streaming: settings.useStreamingProtocol,
    chunkBytes: settings.chunkBytes,
    codecs: settings.compressionEnabled
      ? settings.codecs.flatMap((name) => KNOWN_CODECS[name] ?? [])
      : [],
    compressionThresholdBytes: settings.compressionThresholdBytes,
    digest: settings.digest,
    retry: {
      maxRetries: settings.maxRetries,
      baseDelayMs: settings.retryBaseDelayMs,
      maxDelayMs: settings.retryMaxDelayMs,
      backoffFactor: settings.retryBackoffFactor,
      jitterFactor: settings.retryJitterFactor,
    },
    limits: {
      transferWindowBytes: settings.transferWindowBytes,
      connectionWindowBytes: settings.connectionWindowBytes,
      maxTensorBytes: settings.maxTensorBytes,
      maxPrefetchBytes: settings.maxPrefetchBytes,
      maxTransfers: settings.maxTransfers,
      idleTimeoutMs: settings.idleTimeoutMs,
      stallTimeoutMs: settings.stallTimeoutMs,
    },
  };
}
