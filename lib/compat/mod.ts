// This module runs in every runtime.
/**
 * The methods of the tensor protocols of Ollama's cluster mode, over a peer: for programs that were
 * written for those.
 *
 * @module headrace/compat
 */
export type { Message, MessageHeader, MessageType } from "./message.ts";
export { PRIORITY, type ProtocolOptions, type RetryPolicyInMs } from "./protocol_options.ts";
export type { StreamedChunk } from "./protocol_stream.ts";
export { StandardProtocol } from "./standard_protocol.ts";
export { StreamingProtocol } from "./streaming_protocol.ts";
export type { TransferState } from "./transfer_state.ts";
