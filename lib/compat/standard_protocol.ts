// This module runs in every runtime.
import type { Connect, Connection } from "../connection.ts";
import { RemoteError, TransportError } from "../errors.ts";
import { TensorPeer } from "../session/peer.ts";
import type { TensorPeerOptions } from "../session/peer_options.ts";
import type { Transfer } from "../session/transfer.ts";
import { DEFAULT_PRIORITY } from "../session/transfer_table.ts";
import { checkAddress, formatAddress, type TensorAddress } from "../tensor/address.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { TypedArray } from "../tensor/typed_array.ts";
import { AskedStore } from "./asked_store.ts";
import { type Arrival, Inbox } from "./inbox.ts";
import { Incoming, type WaitingTensor } from "./incoming.ts";
import { type Message, type MessageHeader, type MessageType, namesOf } from "./message.ts";
import type { ProtocolOptions } from "./protocol_options.ts";
import type { TensorFlow } from "./tensor_flow.ts";

const DEFAULT_WAITING_BYTES = 64 * 1024 * 1024;
const DEFAULT_CHUNK_BYTES = 1024 * 1024;

/**
 * The methods of the standard protocol of Ollama's cluster mode, over a {@linkcode TensorPeer} with
 * default settings: what goes over the wire is headrace's own protocol, verified and resumable, so
 * that the other end may use these methods, the streaming ones, or a peer itself.
 *
 * Requests of the other end are answered by `options.store`; without one they come as messages, and
 * the program answers them by `sendTensorResponse` or `sendError`. After a cut the same request may
 * come again.
 *
 * @example
 * ```ts
 * import { StandardProtocol } from "headrace/compat";
 * import { connectionPair } from "headrace/memory";
 *
 * const [here, there] = connectionPair();
 * await using node = new StandardProtocol(here);
 * await using other = new StandardProtocol(there, { accepted: true });
 *
 * await node.sendTensorRequest("llama", "shard-1", "w");
 * const { header } = await other.receiveMessage(); // type tensor_request
 * await other.sendTensorResponse(header.messageID, "llama", "shard-1", "w", new Float32Array([1, 2]));
 * const { data } = await node.receiveMessage();
 * console.log(data.byteLength); // 8
 * ```
 */
export class StandardProtocol implements AsyncDisposable {
  readonly #link: Connection | Connect;
  readonly #asked: AskedStore;
  readonly #incoming: Incoming;
  readonly #inbox = new Inbox();
  /** Transfers that a method or an arrival speaks for. */
  readonly #claimed = new WeakSet<Transfer>();
  #options: ProtocolOptions;
  #peer: TensorPeer | undefined;
  #nextMessageID = 1;

  /** @param link A connection, or what makes one; the same as of a `TensorPeer`. */
  constructor(link: Connection | Connect, options: ProtocolOptions = {}) {
    this.#link = link;
    this.#options = options;
    this.#asked = new AskedStore(
      () => this.nextMessageID(),
      (messageID, address) => this.#put("tensor_request", messageID, address),
    );
    this.#incoming = new Incoming({
      maxBytes: options.maxWaitingBytes ?? DEFAULT_WAITING_BYTES,
      chunkBytes: () => this.chunkBytes,
      transferOf: (address) => this.claim("in", address) as Transfer,
      onTensor: (...came) => this.#came(...came),
    });
    // What is set right after this call still counts; an accepted connection must not wait for long.
    queueMicrotask(() => this.peer);
  }

  /** The peer that everything runs through. */
  get peer(): TensorPeer {
    if (this.#peer) return this.#peer;
    const { maxWaitingBytes: _, ...options } = this.#options;
    const peer = new TensorPeer(this.#link, {
      store: this.#asked,
      ...options,
      sinks: this.#incoming,
    });
    const over = (error?: unknown) => {
      this.#inbox.end(error);
      this.#asked.end(error ?? ended());
    };
    peer.closed.then(() => over(), over);
    this.#peer = peer;
    return peer;
  }

  /**
   * Sends a tensor; fulfils when the other end has verified it, and gives the message's id. A
   * `tensor_ack` with that id comes as a message as well.
   *
   * @throws what the transfer failed with.
   *
   * @example
   * ```ts
   * import { StandardProtocol } from "headrace/compat";
   * import { connectionPair } from "headrace/memory";
   *
   * const [here, there] = connectionPair();
   * await using node = new StandardProtocol(here);
   * await using other = new StandardProtocol(there, { accepted: true });
   * await node.sendTensorSync("llama", "shard-1", "w", new Float32Array([1, 2]));
   * console.log((await other.receiveMessage()).header.dtype); // F32
   * ```
   */
  async sendTensorSync(
    modelID: string,
    partitionID: string,
    tensorID: string,
    data: TypedArray,
  ): Promise<number> {
    const address = addressOf(modelID, partitionID, tensorID);
    const messageID = this.nextMessageID();
    await this.peer.streamTensor(address, data, { priority: this.priority }).done;
    this.#put("tensor_ack", messageID, address);
    return messageID;
  }

  /**
   * Asks for a tensor. The answer comes as a message with this id: a `tensor_response` or an
   * `error`.
   *
   * @example
   * ```ts
   * import { MemoryStore } from "headrace";
   * import { StandardProtocol } from "headrace/compat";
   * import { connectionPair } from "headrace/memory";
   *
   * const store = new MemoryStore();
   * store.set({ model: "llama", partition: "shard-1", tensor: "w" }, new Float32Array(3));
   * const [here, there] = connectionPair();
   * await using node = new StandardProtocol(here);
   * await using other = new StandardProtocol(there, { accepted: true, store });
   * await node.sendTensorRequest("llama", "shard-1", "w");
   * console.log((await node.receiveMessage()).data.byteLength); // 12
   * ```
   */
  async sendTensorRequest(modelID: string, partitionID: string, tensorID: string): Promise<number> {
    const address = addressOf(modelID, partitionID, tensorID);
    const messageID = this.nextMessageID();
    const options = { into: "memory", priority: this.priority } as const;
    const transfer = this.claimed(this.peer.requestTensor(address, options));
    transfer.bytes().then(
      (bytes) => this.#put("tensor_response", messageID, address, transfer.descriptor, bytes),
      (error) => this.#putError(messageID, address, error),
    );
    return messageID;
  }

  /**
   * Answers a `tensor_request`; fulfils when the other end has verified the tensor.
   *
   * @param requestID The request's `messageID`.
   * @throws {NotFoundError} when no such request waits.
   *
   * @example See {@linkcode StandardProtocol}.
   */
  async sendTensorResponse(
    requestID: number,
    modelID: string,
    partitionID: string,
    tensorID: string,
    data: TypedArray,
  ): Promise<void> {
    const transfer = this.claim("out", addressOf(modelID, partitionID, tensorID));
    this.#asked.answer(requestID, data);
    await transfer?.done;
  }

  /**
   * Does nothing more: the other end has heard that a tensor is verified before the program here
   * sees the message.
   */
  async sendAck(
    _requestID: number,
    modelID: string,
    partitionID: string,
    tensorID: string,
  ): Promise<void> {
    addressOf(modelID, partitionID, tensorID);
  }

  /**
   * Refuses a `tensor_request`: at the other end an `error` message comes of it, with this code.
   *
   * @throws {NotFoundError} when no such request waits.
   */
  async sendError(requestID: number, code: number, text: string): Promise<void> {
    if (!Number.isSafeInteger(code))
      throw new RangeError(`An error's code is whole, found ${code}`);
    this.#asked.refuse(requestID, code, text);
  }

  /**
   * The next message, once there is one. Of a tensor it comes when all of it is here and verified.
   *
   * @throws {TransportError} when the connection has ended.
   *
   * @example See {@linkcode StandardProtocol}.
   */
  async receiveMessage(): Promise<Message> {
    for (;;) {
      const arrival = await this.#inbox.take();
      if (!arrival) throw ended();
      const { header, data } = arrival;
      try {
        const bytes = await data();
        return { header: { ...header, bodyLength: bytes.byteLength }, data: bytes };
      } catch {
        // A push that broke off is none; its sender knows, and sends it again.
      }
    }
  }

  /** Says goodbye. */
  async close(): Promise<void> {
    await this.peer.close();
  }

  /** Closes it at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Uncompressed bytes of a chunk. */
  protected get chunkBytes(): number {
    return this.#options.chunkBytes ?? DEFAULT_CHUNK_BYTES;
  }

  /** What is sent and asked for without a priority. */
  protected get priority(): number {
    return DEFAULT_PRIORITY;
  }

  /** @throws {TypeError} once the connection is in use. */
  protected configure(options: TensorPeerOptions): void {
    if (this.#peer) {
      throw new TypeError(
        "The connection is in use: set chunk size, compression and retries right after the constructor",
      );
    }
    this.#options = { ...this.#options, ...options };
  }

  /** The next tensor that somebody else began to send; `undefined` when the connection has ended. */
  protected nextTensor(): Promise<Arrival | undefined> {
    return this.#inbox.take(({ streamID }) => streamID !== undefined);
  }

  protected nextMessageID(): number {
    return this.#nextMessageID++;
  }

  /** Takes pushes, and what subscriptions fetch. */
  protected get incoming(): Incoming {
    return this.#incoming;
  }

  /** Told of every tensor that comes without having been asked for by itself. */
  protected arrived(_transfer: Transfer, _tensor: WaitingTensor | TensorFlow): void {}

  /** The newest transfer of an address that nobody speaks for yet. */
  protected claim(direction: "in" | "out", address: TensorAddress): Transfer | undefined {
    const name = formatAddress(address);
    const found = this.peer.transfers.findLast(
      (one) =>
        one.direction === direction &&
        !this.#claimed.has(one) &&
        formatAddress(one.address) === name,
    );
    return found && this.claimed(found);
  }

  /** Somebody speaks for this transfer: its failure is not nobody's. */
  protected claimed(transfer: Transfer): Transfer {
    this.#claimed.add(transfer);
    transfer.done.catch(() => {});
    return transfer;
  }

  /** What goes on by itself has failed. */
  protected failed(address: TensorAddress, error: unknown): void {
    this.#putError(this.nextMessageID(), address, error);
  }

  #came(
    transfer: Transfer,
    descriptor: TensorDescriptor,
    tensor: WaitingTensor | TensorFlow,
  ): void {
    this.arrived(transfer, tensor);
    this.#inbox.put({
      header: this.#header("tensor_sync", this.nextMessageID(), transfer.address, descriptor),
      streamID: transfer.id,
      data: async () => ("take" in tensor ? tensor.take() : tensor.collect()),
    });
  }

  #put(
    type: MessageType,
    messageID: number,
    address: TensorAddress,
    descriptor?: TensorDescriptor,
    bytes: Uint8Array = new Uint8Array(),
  ): void {
    const header = this.#header(type, messageID, address, descriptor);
    this.#inbox.put({ header, data: async () => bytes });
  }

  #putError(messageID: number, address: TensorAddress, error: unknown): void {
    const code = error instanceof RemoteError ? Number(error.remoteCode) : Number.NaN;
    const text = error instanceof Error ? error.message : String(error);
    const header = {
      ...this.#header("error", messageID, address, undefined),
      errorCode: Number.isNaN(code) ? 0 : code,
    };
    this.#inbox.put({ header, data: async () => new TextEncoder().encode(text) });
  }

  #header(
    type: MessageType,
    messageID: number,
    address: TensorAddress,
    descriptor: TensorDescriptor | undefined,
  ): MessageHeader {
    return {
      type,
      messageID,
      ...namesOf(address),
      timestamp: new Date(),
      bodyLength: descriptor?.byteLength ?? 0,
      ...(descriptor && { dtype: descriptor.dtype, shape: descriptor.shape }),
    };
  }
}

const ended = () => new TransportError("The connection has ended");

/** @throws {TypeError | RangeError} for names that cannot be. */
export function addressOf(model: string, partition: string, tensor: string): TensorAddress {
  return checkAddress({ model, partition, tensor });
}
