// This module runs in every runtime.
import { deflate } from "../codec/deflate.ts";
import { NotFoundError } from "../errors.ts";
import { checkPriority } from "../session/scheduler.ts";
import { sourceOf } from "../session/tensor_input.ts";
import type { Transfer } from "../session/transfer.ts";
import { DEFAULT_PRIORITY } from "../session/transfer_table.ts";
import { checkChunkBytes } from "../tensor/chunk.ts";
import type { TypedArray } from "../tensor/typed_array.ts";
import type { WaitingTensor } from "./incoming.ts";
import { type RetryPolicyInMs, retryOptions } from "./protocol_options.ts";
import type { StreamedChunk } from "./protocol_stream.ts";
import { addressOf, StandardProtocol } from "./standard_protocol.ts";
import { StreamTable } from "./stream_table.ts";
import { TensorFlow } from "./tensor_flow.ts";
import { stateOf, type TransferState } from "./transfer_state.ts";

const PREFETCH_PRIORITY = 0;
/** A name that asks for nothing: the question is what counts. */
const NOTHING = { model: "-", partition: "-", tensor: "heartbeat" };

/**
 * The methods of the streaming protocol of Ollama's cluster mode, over a `TensorPeer`:
 * what goes over the wire is headrace's own protocol, verified and resumable, so that the other end
 * may use these methods, the standard ones, or a peer itself. The standard methods are here too.
 *
 * @example
 * ```ts
 * import { MemoryStore } from "headrace";
 * import { PRIORITY, StreamingProtocol } from "headrace/compat";
 * import { connectionPair } from "headrace/memory";
 *
 * const store = new MemoryStore();
 * store.set({ model: "llama", partition: "shard-1", tensor: "w" }, new Float32Array(1_000_000));
 * const [here, there] = connectionPair();
 * await using other = new StreamingProtocol(there, { accepted: true, store });
 * await using node = new StreamingProtocol(here);
 * node.setChunkSize(1024 * 1024);
 * node.setRetryPolicy({ maxRetries: 3, baseDelay: 500, maxDelay: 5000, backoffFactor: 2, jitterFactor: 0.1 });
 *
 * const streamID = await node.requestTensor("llama", "shard-1", "w", PRIORITY.high);
 * for await (const { chunkNumber, totalChunks, data } of node.receiveChunks(streamID)) {
 *   console.log(chunkNumber, totalChunks, data.byteLength); // 0 4 1048576 ...
 * }
 * ```
 */
export class StreamingProtocol extends StandardProtocol {
  readonly #streams = new StreamTable();
  #priority = DEFAULT_PRIORITY;

  /**
   * Uncompressed bytes of a chunk, 1 KiB to 64 MiB; default 1 MiB. To be called right after the
   * constructor, as all that is said to the other end at the beginning.
   *
   * @throws {RangeError} for a size that cannot be, {TypeError} once the connection is in use.
   */
  setChunkSize(chunkBytes: number): void {
    this.configure({ chunkBytes: checkChunkBytes(chunkBytes) });
  }

  /** Whether chunks may be compressed; default `true`. As `setChunkSize`, right at the beginning. */
  setCompressionEnabled(isEnabled: boolean): void {
    this.configure({ codecs: isEnabled ? [deflate] : [] });
  }

  /** Chunks below this length are sent raw; default 4096. As `setChunkSize`, right at the beginning. */
  setCompressionThreshold(thresholdBytes: number): void {
    if (!(thresholdBytes >= 0)) {
      throw new RangeError(`A threshold is a number of bytes from 0 on, found ${thresholdBytes}`);
    }
    this.configure({ compressionThresholdBytes: thresholdBytes });
  }

  /** When and how often is tried again; delays in ms. As `setChunkSize`, right at the beginning. */
  setRetryPolicy(policy: RetryPolicyInMs): void {
    this.configure({ retry: retryOptions(policy) });
  }

  /**
   * What is sent and asked for without a priority; default 50.
   *
   * @throws {RangeError} for anything but a whole number from 0 to 255.
   */
  setDefaultPriority(priority: number): void {
    this.#priority = checkPriority(priority);
  }

  /**
   * Sends a tensor; fulfils with its stream's id when the other end has verified it.
   *
   * @throws what the transfer failed with; `resumeTensorTransfer` then goes on with it.
   *
   * @example
   * ```ts
   * import { StreamingProtocol } from "headrace/compat";
   * import { connectionPair } from "headrace/memory";
   *
   * const [here, there] = connectionPair();
   * await using node = new StreamingProtocol(here);
   * await using other = new StreamingProtocol(there, { accepted: true });
   * await node.streamTensor("llama", "shard-1", "w", new Float32Array([1, 2]));
   * for await (const { streamID, tensorID } of other.receiveTensors()) {
   *   for await (const { data } of other.receiveChunks(streamID)) console.log(tensorID, data.byteLength); // w 8
   *   break;
   * }
   * ```
   */
  async streamTensor(
    modelID: string,
    partitionID: string,
    tensorID: string,
    data: TypedArray,
  ): Promise<string> {
    const address = addressOf(modelID, partitionID, tensorID);
    const source = sourceOf(data);
    const begin = () => {
      return this.claimed(this.peer.streamTensor(address, source, { priority: this.priority }));
    };
    const transfer = begin();
    this.#streams.add(transfer, { chunkBytes: this.chunkBytes, again: begin });
    await transfer.done;
    return transfer.id;
  }

  /**
   * Asks for a tensor, whose chunks `receiveChunks` then gives.
   *
   * @returns the stream's id.
   */
  async requestTensor(
    modelID: string,
    partitionID: string,
    tensorID: string,
    priority: number = this.priority,
  ): Promise<string> {
    const address = addressOf(modelID, partitionID, tensorID);
    const begin = (flow: Pick<TensorFlow, "into">) =>
      this.claimed(
        this.peer.requestTensor(address, {
          into: ({ descriptor }) => flow.into(descriptor),
          priority,
        }),
      );
    const { chunkBytes } = this;
    const flow = new TensorFlow(address, chunkBytes, (into) => begin({ into }));
    const again = () => flow.resume(begin(flow));
    return this.#streams.add(flow.transfer, { chunkBytes, flow, again }).id;
  }

  /**
   * The chunks of a stream as they come, each verified, until all are there; what nobody reads does
   * not come. Leaving the loop cancels the transfer.
   *
   * @throws {NotFoundError} for an id that is not known, or whose chunks somebody has taken.
   * @throws what the transfer failed with; `resumeTensorTransfer`, and a second loop goes on behind
   *   the last chunk of the first.
   */
  receiveChunks(streamID: string): AsyncGenerator<StreamedChunk, void, undefined> {
    return this.#streams.get(streamID).chunks();
  }

  /**
   * The tensors that the other end sends, as each begins to come; ends with the connection.
   *
   * @throws {TransportError} when the connection fails.
   */
  async *receiveTensors(): AsyncGenerator<TransferState, void, undefined> {
    for (let next = await this.nextTensor(); next; next = await this.nextTensor()) {
      yield this.getTransferState(next.streamID ?? "");
    }
  }

  /**
   * Goes on with a transfer that was interrupted, from what is verified.
   *
   * @returns `false` when there is nothing to go on with: it is complete, or the other end sends it.
   * @throws {NotFoundError} for an id that is not known.
   */
  async resumeTensorTransfer(streamID: string): Promise<boolean> {
    return this.#streams.get(streamID).resume();
  }

  /**
   * Fetches tensors before they are needed, when nothing else is to be done; `requestTensor` then
   * takes over what is here.
   *
   * @returns the streams' ids, in the order of the tensors.
   */
  async prefetchTensors(
    modelID: string,
    partitionID: string,
    tensorIDs: readonly string[],
    priority: number = PREFETCH_PRIORITY,
  ): Promise<string[]> {
    const { chunkBytes } = this;
    const addresses = tensorIDs.map((tensorID) => addressOf(modelID, partitionID, tensorID));
    return this.peer.prefetch(addresses, { priority }).map((transfer) => {
      return this.#streams.add(this.claimed(transfer), { chunkBytes }).id;
    });
  }

  /**
   * Fetches each new version of a tensor from now on, as if the other end sent it: it comes by
   * `receiveTensors`, or by `receiveMessage` as `tensor_sync`. Fulfils when it is in force.
   */
  async subscribeTensor(modelID: string, partitionID: string, tensorID: string): Promise<void> {
    const address = addressOf(modelID, partitionID, tensorID);
    const subscription = this.peer.subscribe(address, {
      fetch: { into: this.incoming, priority: this.priority },
    });
    const follow = async () => {
      for await (const _ of subscription);
    };
    follow().catch((error) => this.failed(address, error));
    await subscription.ready;
  }

  /**
   * Ends a transfer at both ends.
   *
   * @throws {NotFoundError} for an id that is not known.
   */
  async cancelTransfer(streamID: string, reason?: unknown): Promise<void> {
    this.#streams.get(streamID).cancel(reason);
  }

  /** @throws {NotFoundError} for an id that is not known; those long over are forgotten. */
  getTransferState(streamID: string): TransferState {
    const state = this.getAllTransfers().get(streamID);
    if (state) return state;
    throw new NotFoundError(`There is no transfer ${streamID}`);
  }

  /** The states of all transfers by their streams' ids: under way, and the latest that are over. */
  getAllTransfers(): Map<string, TransferState> {
    const { all } = this.#streams;
    const known = new Set(all.map(({ transfer }) => transfer));
    const served = this.peer.transfers.filter((one) => !known.has(one));
    return new Map([
      ...all.map(({ id, state }) => [id, state] as const),
      ...served.map((one) => [one.id, stateOf(one.id, one, this.chunkBytes)] as const),
    ]);
  }

  /**
   * Asks the other end for a sign of life; fulfils when it comes. Quiet connections are asked by
   * themselves every five seconds.
   *
   * @throws {TransportError} when none comes.
   */
  async sendHeartbeat(): Promise<void> {
    await this.peer.list(NOTHING);
  }

  protected override get priority(): number {
    return this.#priority;
  }

  protected override arrived(transfer: Transfer, tensor: WaitingTensor | TensorFlow): void {
    const { chunkBytes } = this;
    const part = "take" in tensor ? { waiting: tensor } : { flow: tensor };
    this.#streams.add(transfer, { chunkBytes, ...part });
  }
}
