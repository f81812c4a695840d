// This module runs in every runtime.
/**
 * A peer over a connection: it serves, requests, lists and sends tensors.
 *
 * @module headrace/session
 */

export type { Connect, Connection, Listener } from "../connection.ts";
export { DEFAULT_RETRY_POLICY, mayRetry, type RetryPolicy, retryDelayMs } from "../retry.ts";
export { AttemptFences } from "./attempt_fences.ts";
export { BlobSource } from "./blob_source.ts";
export { ByteSource } from "./byte_source.ts";
export type { ConnectionView } from "./connection_view.ts";
export { PeerHost, type PeerHostOptions } from "./host.ts";
export { MemorySink, type MemorySinkOptions } from "./memory_sink.ts";
export { MemoryStore, type MemoryStoreOptions, type StoredTensor } from "./memory_store.ts";
export { TensorPeer } from "./peer.ts";
export type {
  PrefetchOptions,
  RequestOptions,
  StreamOptions,
  SubscribeOptions,
  TensorPeerOptions,
  TransferOptions,
} from "./peer_options.ts";
export {
  PeerRegistry,
  type PeerRegistryOptions,
  type RegistryTotals,
  type TransferTotals,
} from "./peer_registry.ts";
export type { ReceivedTensor } from "./request_batch.ts";
export { type MeteredBody, ResponseMeter, type ResponseTotals } from "./response_meter.ts";
export { type Claim, createClaim, PriorityScheduler, type Scheduler } from "./scheduler.ts";
export type { StreamedTensor } from "./stream_feed.ts";
export { StreamSource, type StreamSourceOptions } from "./stream_source.ts";
export { Subscription, type SubscriptionControls, type TensorChange } from "./subscription.ts";
export { sourceOf, type TensorInput, type TensorInputOptions } from "./tensor_input.ts";
export type { RequestListOptions } from "./tensor_list.ts";
export {
  Transfer,
  type TransferControls,
  type TransferPhase,
  type TransferStatus,
} from "./transfer.ts";
export { snapshotOf, type TransferSnapshot } from "./transfer_snapshot.ts";
export type { Verified } from "./verdict.ts";
export { WritableSink, type WritableSinkOptions } from "./writable_sink.ts";
