// This module runs in every runtime.
import type { TensorAddress } from "../tensor/address.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";

/** What a message is about. */
export type MessageType =
  | "tensor_request"
  | "tensor_response"
  | "tensor_sync"
  | "tensor_ack"
  | "error";

/** What stands before a message's data. */
export interface MessageHeader {
  readonly type: MessageType;
  /** Of a response, an acknowledgement or an error: the id of what it answers. */
  readonly messageID: number;
  /** The address is empty in errors that are about no tensor. */
  readonly modelID: string;
  readonly partitionID: string;
  readonly tensorID: string;
  /** When it came. */
  readonly timestamp: Date;
  readonly bodyLength: number;
  /** What the bytes are, where there are any. */
  readonly dtype?: TensorDescriptor["dtype"];
  readonly shape?: readonly number[];
  /** The code of an error, as `sendError` was given it; 0 for one that no program sent. */
  readonly errorCode?: number;
}

/** A message as `receiveMessage` gives it. */
export interface Message {
  readonly header: MessageHeader;
  /** A tensor's bytes, or an error's text in UTF-8. */
  readonly data: Uint8Array;
}

/** What a header says of an address. */
export function namesOf({ model, partition, tensor }: TensorAddress): {
  readonly modelID: string;
  readonly partitionID: string;
  readonly tensorID: string;
} {
  return { modelID: model, partitionID: partition, tensorID: tensor };
}
