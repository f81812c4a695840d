import { httpClientSuite } from "./http/client.ts";
import { originRulesSuite } from "./origin_rules.ts";
import { writableSinkSuite } from "./session/writable_sink.ts";
// Needs nothing but what every runtime has.

import { fileNameSuite } from "./checkpoint/file_name.ts";
import { journalSuite } from "./checkpoint/journal.ts";
import { ledgerSuite } from "./checkpoint/ledger.ts";
import { memoryCheckpointStoreSuite } from "./checkpoint/memory_checkpoint_store.ts";
import { stagedSinkSuite } from "./checkpoint/staged_sink.ts";
import { sweepPlanSuite } from "./checkpoint/sweep_plan.ts";
import { halfFloatsSuite } from "./cli/half_floats.ts";
import { deflateSuite } from "./codec/deflate.ts";
import { encodeChunkSuite } from "./codec/encode_chunk.ts";
import { governorSuite } from "./codec/governor.ts";
import { protocolStreamSuite } from "./compat/protocol_stream.ts";
import { olderProtocolsSuite } from "./compat/protocols.ts";
import { tensorFlowSuite } from "./compat/tensor_flow.ts";
import { jsonFaultSuite } from "./config/json_fault.ts";
import { malformedSettingsSuite } from "./config/malformed_settings.ts";
import { quantitySuite } from "./config/quantity.ts";
import { resolveSettingsSuite } from "./config/resolve_settings.ts";
import { settingsOnTheWireSuite } from "./config/settings_on_the_wire.ts";
import { spellingSuite } from "./config/spelling.ts";
import { r2StoreSuite } from "./formats/r2_store.ts";
import { safetensorsHeaderSuite } from "./formats/safetensors/header.ts";
import { shardIndexSuite } from "./formats/safetensors/shard_index.ts";
import { safetensorsWriterSuite } from "./formats/safetensors/writer.ts";
import type { Suite } from "./harness.ts";
import { attemptFencesSuite } from "./session/attempt_fences.ts";
import { blobSourceSuite } from "./session/blob_source.ts";
import { channelSuite } from "./session/channel.ts";
import { flowControlModelSuite } from "./session/flow_control_model.ts";
import { hostileReceiverSuite } from "./session/hostile/as_receiver.ts";
import { hostileCborSuite } from "./session/hostile/cbor.ts";
import { hostileFloodsSuite } from "./session/hostile/floods.ts";
import { hostileHeadersSuite } from "./session/hostile/headers.ts";
import { hostileHelloSuite } from "./session/hostile/hello.ts";
import { limitTableSuite } from "./session/hostile/limit_table.ts";
import { hostileMemorySuite } from "./session/hostile/memory.ts";
import { hostilePagesSuite } from "./session/hostile/pages.ts";
import { hostileResetsSuite } from "./session/hostile/resets.ts";
import { hostileStreamsSuite } from "./session/hostile/streams.ts";
import { hostileSenderSuite } from "./session/hostile_sender.ts";
import { lanesSuite } from "./session/lanes.ts";
import { leafBuffersSuite } from "./session/leaf_buffers.ts";
import { lifecycleSuite } from "./session/lifecycle.ts";
import { logsSuite } from "./session/logs.ts";
import { memorySinkSuite } from "./session/memory_sink.ts";
import { memoryStoreSuite } from "./session/memory_store.ts";
import { outboxSuite } from "./session/outbox.ts";
import { partsSuite } from "./session/parts.ts";
import { peerLinkSuite } from "./session/peer_link.ts";
import { peerRegistrySuite } from "./session/peer_registry.ts";
import { prefetchSuite } from "./session/prefetch.ts";
import { readAheadSuite } from "./session/read_ahead.ts";
import { readerBudgetSuite } from "./session/reader_budget.ts";
import { reconnectionSuite } from "./session/reconnection.ts";
import { recoverySuite } from "./session/recovery.ts";
import { refetchCreditSuite } from "./session/refetch_credit.ts";
import { replayLeavesSuite } from "./session/replay_leaves.ts";
import { schedulerSuite } from "./session/scheduler.ts";
import { smallTensorsSuite } from "./session/small_tensors.ts";
import { steeringSuite } from "./session/steering.ts";
import { streamSourceSuite } from "./session/stream_source.ts";
import { streamsInSuite } from "./session/streams_in.ts";
import { subscriptionSuite } from "./session/subscription.ts";
import { tensorInputSuite } from "./session/tensor_input.ts";
import { sessionTranscriptsSuite } from "./session/transcripts.ts";
import { sessionTransfersSuite } from "./session/transfers.ts";
import { turnsSuite } from "./session/turns.ts";
import { watchersSuite } from "./session/watchers.ts";
import { windowSuite } from "./session/window.ts";
import { eventStreamSuite } from "./status/event_stream.ts";
import { metricsSuite } from "./status/metrics.ts";
import { statusHandlerSuite } from "./status/status_handler.ts";
import { assemblerStreamSuite } from "./streams/assembler_stream.ts";
import { checksumStreamSuite } from "./streams/checksum_stream.ts";
import { chunkCollectorSuite } from "./streams/chunk_collector.ts";
import { chunkerStreamSuite } from "./streams/chunker_stream.ts";
import { chunksFromSuite } from "./streams/chunks_from.ts";
import { compressorStreamSuite } from "./streams/compressor_stream.ts";
import { diallerSuite } from "./streams/dialler.ts";
import { frameDecoderStreamSuite } from "./streams/frame_decoder_stream.ts";
import { frameEncoderStreamSuite } from "./streams/frame_encoder_stream.ts";
import { frameLinkSuite } from "./streams/frame_link.ts";
import { inFlightSuite } from "./streams/in_flight.ts";
import { leafCollectorSuite } from "./streams/leaf_collector.ts";
import { mutatedTransfersSuite } from "./streams/mutated_transfers.ts";
import { orderedMapStreamSuite } from "./streams/ordered_map_stream.ts";
import { replayBufferSuite } from "./streams/replay_buffer.ts";
import { retryingWriterSuite } from "./streams/retrying_writer.ts";
import { verifierStreamSuite } from "./streams/verifier_stream.ts";
import { addressSuite } from "./tensor/address.ts";
import { bitmapSuite } from "./tensor/bitmap.ts";
import { descriptorSuite } from "./tensor/descriptor.ts";
import { digestCacheSuite } from "./tensor/digest_cache.ts";
import { leafAndChunkSuite } from "./tensor/leaf_and_chunk.ts";
import { merkleSuite } from "./tensor/merkle.ts";
import { merkleTreeSuite } from "./tensor/merkle_tree.ts";
import { openEndSuite } from "./tensor/open_end.ts";
import { proofSuite } from "./tensor/proof.ts";
import { rootSuite } from "./tensor/root.ts";
import { sha256Suite } from "./tensor/sha256.ts";
import { typedArraySuite } from "./tensor/typed_array.ts";
import { faultCursorSuite } from "./testing/fault_cursor.ts";
import { faultyConnectionSuite } from "./testing/faulty_connection.ts";
import { planFaultsSuite } from "./testing/plan_faults.ts";
import { seededRandomSuite } from "./testing/seeded_random.ts";
import { shaperSuite } from "./testing/shaper.ts";
import { transportCasesSuite } from "./testing/transport_cases.ts";
import { dialTimeoutSuite } from "./transports/dial_timeout.ts";
import { firstConnectedSuite } from "./transports/first_connected.ts";
import { httpHandlerSuite } from "./transports/http_handler.ts";
import { memorySuite } from "./transports/memory.ts";
import { messageLinkSuite } from "./transports/message_link.ts";
import { tcpUrlSuite } from "./transports/tcp_url.ts";
import { w3cSocketSuite } from "./transports/w3c_socket.ts";
import { webTransportRecordsSuite } from "./transports/webtransport_records.ts";
import { writeCoalescerSuite } from "./transports/write_coalescer.ts";
import { cborSuite } from "./wire/cbor.ts";
import { controlSuite } from "./wire/control.ts";
import { frameParserSuite } from "./wire/frame_parser.ts";
import { goldenVectorsSuite } from "./wire/golden_vectors.ts";
import { pagesSuite } from "./wire/pages.ts";
import { receiptsSuite } from "./wire/receipts.ts";
import { requestListSuite } from "./wire/request_list.ts";
import { shapeSuite } from "./wire/shape.ts";
import { tensorFrameSuite } from "./wire/tensor_frame.ts";
import { wireTranscriptsSuite } from "./wire/transcripts.ts";
import { xxh32Suite } from "./wire/xxh32.ts";

/** Runs unchanged wherever a file in runtimes/ hands it a harness. */
export const portableSuites: readonly Suite[] = [
  sha256Suite,
  descriptorSuite,
  openEndSuite,
  addressSuite,
  leafAndChunkSuite,
  merkleSuite,
  merkleTreeSuite,
  rootSuite,
  proofSuite,
  bitmapSuite,
  digestCacheSuite,
  typedArraySuite,
  xxh32Suite,
  goldenVectorsSuite,
  frameParserSuite,
  cborSuite,
  httpClientSuite,
  controlSuite,
  pagesSuite,
  tensorFrameSuite,
  requestListSuite,
  receiptsSuite,
  shapeSuite,
  wireTranscriptsSuite,
  deflateSuite,
  encodeChunkSuite,
  governorSuite,
  orderedMapStreamSuite,
  chunkerStreamSuite,
  chunksFromSuite,
  checksumStreamSuite,
  compressorStreamSuite,
  frameEncoderStreamSuite,
  chunkCollectorSuite,
  frameDecoderStreamSuite,
  leafCollectorSuite,
  verifierStreamSuite,
  assemblerStreamSuite,
  mutatedTransfersSuite,
  replayBufferSuite,
  sessionTransfersSuite,
  smallTensorsSuite,
  partsSuite,
  reconnectionSuite,
  lanesSuite,
  steeringSuite,
  peerLinkSuite,
  peerRegistrySuite,
  prefetchSuite,
  subscriptionSuite,
  sessionTranscriptsSuite,
  hostileSenderSuite,
  hostileHelloSuite,
  hostileHeadersSuite,
  hostileCborSuite,
  hostileFloodsSuite,
  limitTableSuite,
  hostilePagesSuite,
  hostileResetsSuite,
  hostileStreamsSuite,
  hostileReceiverSuite,
  hostileMemorySuite,
  retryingWriterSuite,
  frameLinkSuite,
  inFlightSuite,
  recoverySuite,
  lifecycleSuite,
  diallerSuite,
  tcpUrlSuite,
  writeCoalescerSuite,
  memorySuite,
  httpHandlerSuite,
  statusHandlerSuite,
  eventStreamSuite,
  metricsSuite,
  messageLinkSuite,
  firstConnectedSuite,
  dialTimeoutSuite,
  w3cSocketSuite,
  webTransportRecordsSuite,
  seededRandomSuite,
  planFaultsSuite,
  faultCursorSuite,
  shaperSuite,
  transportCasesSuite,
  faultyConnectionSuite,
  safetensorsHeaderSuite,
  shardIndexSuite,
  safetensorsWriterSuite,
  r2StoreSuite,
  halfFloatsSuite,
  fileNameSuite,
  journalSuite,
  ledgerSuite,
  stagedSinkSuite,
  memoryCheckpointStoreSuite,
  sweepPlanSuite,
  memorySinkSuite,
  writableSinkSuite,
  replayLeavesSuite,
  streamSourceSuite,
  blobSourceSuite,
  channelSuite,
  tensorInputSuite,
  watchersSuite,
  windowSuite,
  memoryStoreSuite,
  refetchCreditSuite,
  schedulerSuite,
  outboxSuite,
  readAheadSuite,
  leafBuffersSuite,
  streamsInSuite,
  readerBudgetSuite,
  flowControlModelSuite,
  attemptFencesSuite,
  turnsSuite,
  logsSuite,
  quantitySuite,
  jsonFaultSuite,
  spellingSuite,
  resolveSettingsSuite,
  malformedSettingsSuite,
  olderProtocolsSuite,
  originRulesSuite,
  protocolStreamSuite,
  tensorFlowSuite,
  settingsOnTheWireSuite,
];
