// This module runs in every runtime.
import { encodeChunk } from "../codec/encode_chunk.ts";
import { deferred } from "../deferred.ts";
import { IntegrityError, ProtocolError } from "../errors.ts";
import { formatAddress, type TensorAddress } from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { SourceVersion, TensorSource } from "../tensor/source.ts";
import { FRAME, type FrameHeader, frameName, MAX_TENSOR_DATA_BYTES } from "../wire/frame_header.ts";
import type { DigestMode, Hello } from "../wire/messages.ts";
import { encodeTensorFront, type TensorFrame, type TensorPush } from "../wire/tensor_frame.ts";
import { xxh32 } from "../wire/xxh32.ts";
import type { Channel, StreamParty } from "./channel.ts";
import { LeafDigests } from "./leaf_digests.ts";
import type { Flow, Piece } from "./outbox.ts";
import type { SessionContext } from "./session_context.ts";
import type { TransferMeter } from "./transfer_meter.ts";

/** Whether a source fits into one frame, and may be sent without being asked whether it is wanted. */
export function isSmall(source: TensorSource): boolean {
  return source.descriptor.byteLength <= MAX_TENSOR_DATA_BYTES && !source.isOpenEnded;
}

/** Tensors of this length have their digests remembered. */
const REMEMBERED_FROM_BYTES = 16 * 1024;

/** What {@linkcode prepareSmall} needs. */
export interface SmallTensor {
  readonly channel: Channel;
  readonly context: SessionContext;
  readonly source: TensorSource;
  readonly address: TensorAddress;
  readonly digest: DigestMode;
  /** What the other end said of itself. */
  readonly remote: Hello;
}

/**
 * Reads, hashes and encodes a tensor that goes into one frame.
 *
 * @throws {IntegrityError} at source, when it changed meanwhile.
 */
export async function prepareSmall(
  small: SmallTensor,
  version: SourceVersion,
): Promise<Omit<TensorFrame, "push">> {
  const { channel, context, source, address, remote } = small;
  const { descriptor } = source;
  let bytes = source.view?.(0, descriptor.byteLength);
  if (!bytes) {
    bytes = await source.lend?.(0, descriptor.byteLength);
    bytes ??= await readWhole(source);
    if (!equalBytes(await source.version(), version)) {
      const key = formatAddress(address);
      throw new IntegrityError("source", `${key} changed while it was sent`, { address: key });
    }
  }
  let digest: Uint8Array | undefined;
  if (small.digest === "sha256" && bytes.byteLength > 0) {
    const found = digestOf(small, version, bytes);
    digest = found instanceof Promise ? await found : found;
  }
  const codec = context.codecs.find(({ name }) => remote.codecs.includes(name));
  const { thresholdBytes, clock } = context;
  const options = codec && { codec, thresholdBytes, governor: channel.governor, clock };
  const encoded =
    options && bytes.byteLength >= thresholdBytes
      ? await encodeChunk(bytes, options)
      : { codec: "none", bytes };
  return {
    descriptor,
    version,
    digest,
    // Where there is a digest it tells the same, and more.
    checksum: digest ? 0 : xxh32(bytes),
    codec: encoded.codec === "none" ? 0 : remote.codecs.indexOf(encoded.codec) + 1,
    data: encoded.bytes,
  };
}

/** Small ones are hashed again sooner than it is found out whether that is needed. */
function digestOf(
  { context, source, address }: SmallTensor,
  version: SourceVersion,
  bytes: Uint8Array,
): Uint8Array | Promise<Uint8Array> {
  const { sha256, digests: cache, buffers } = context;
  const known = source.leafDigests?.get(0);
  if (known) return known;
  if (!source.leafDigests && bytes.byteLength < REMEMBERED_FROM_BYTES) return sha256([bytes]);
  const key = formatAddress(address);
  return new LeafDigests({ source, version, key, cache, sha256, buffers }).ofBytes(0, bytes);
}

async function readWhole(source: TensorSource): Promise<Uint8Array> {
  const bytes = new Uint8Array(source.descriptor.byteLength);
  await source.read(0, bytes);
  return bytes;
}

/** What a {@linkcode SmallSending} sends. */
export interface SmallSendingOptions extends Omit<SmallTensor, "remote"> {
  readonly meter: TransferMeter;
  readonly priority: number;
  /** The stream that the other end's request began; left out, a new one is begun. */
  readonly stream?: number;
  /** What the frame says of itself when nobody asked for it. */
  readonly push?: Omit<TensorPush, "priority">;
}

/** The sending end of one attempt at a tensor that goes in one frame. */
export class SmallSending implements StreamParty, Flow {
  priority: number;
  servedBytes = 0;
  waitingSinceMs = 0;
  lane?: number;
  /** A push begins its stream; an answer does not. */
  readonly beginsStream: boolean;
  readonly #options: SmallSendingOptions;
  readonly #done = deferred<void>();
  #stream: number;
  #tensor: Omit<TensorFrame, "push"> | undefined;
  #isSent = false;
  #isOver = false;

  constructor(options: SmallSendingOptions) {
    this.#options = options;
    this.priority = options.priority;
    this.#stream = options.stream ?? 0;
    this.beginsStream = options.push !== undefined;
    // What begins a stream travels on the first lane.
    if (this.beginsStream) this.lane = 0;
    this.#run().catch((error) => this.cancel(error));
  }

  /** Fulfils when the other end says that it has the tensor; rejects when the attempt failed. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  async #run(): Promise<void> {
    const { channel, source, meter } = this.#options;
    const { byteLength } = source.descriptor;
    if (this.#stream === 0) channel.enlist(this);
    const [remote, version] = await Promise.all([channel.link.remoteHello, source.version()]);
    await source.ready?.(0, byteLength);
    const giveBack = await channel.readAhead.take(this, byteLength, byteLength);
    if (this.#isOver) return giveBack(byteLength);
    try {
      this.#tensor = await prepareSmall({ ...this.#options, remote }, version);
      if (this.#isOver) return;
      meter.began(byteLength, 0);
      const sent = deferred<void>();
      this.#onSent = sent.resolve;
      channel.outbox.enter(this);
      await sent.promise;
    } finally {
      giveBack(this.#isSent ? 0 : byteLength);
    }
  }

  #onSent: () => void = () => {};

  take(): Piece | undefined {
    const tensor = this.#tensor;
    if (!tensor || this.#isOver) return undefined;
    try {
      this.#stream ||= this.#options.channel.add(this);
      this.#options.channel.delist(this);
    } catch (error) {
      this.fail(error);
      return undefined;
    }
    this.#tensor = undefined;
    this.#isSent = true;
    const { meter, push } = this.#options;
    const { priority } = this;
    const front = encodeTensorFront(this.#stream, {
      ...tensor,
      ...(push && { push: { ...push, priority } }),
    });
    meter.moved(tensor.data.byteLength, tensor.descriptor.byteLength);
    return { front, data: tensor.data, onWritten: this.#onSent };
  }

  /** What was said before the tensor was there may be about order, and is of no use any more. */
  frame(header: FrameHeader): void {
    if (header.type === FRAME.reprioritise || header.type === FRAME.pause) return;
    throw new ProtocolError(
      `The peer answered a tensor frame with a ${frameName(header.type)} frame`,
    );
  }

  receipt(): void {
    const { source, meter } = this.#options;
    if (!this.#isSent) throw new ProtocolError("The peer confirmed a tensor before it was sent");
    const { byteLength } = source.descriptor;
    meter.verified(byteLength);
    if (byteLength > 0) source.acknowledged?.([{ first: 0, count: 1 }]);
    this.#end();
    this.#done.resolve();
  }

  /** From the moment it is sent there is nothing left to order. */
  reprioritise(priority: number): void {
    this.priority = priority;
    this.#options.channel.readAhead.look();
  }

  /** What goes in one frame is sent whole or not at all: there is nothing to hold up. */
  pause(): void {}

  fail(error: unknown): void {
    this.#end();
    this.#done.reject(error);
  }

  /** Ends the attempt from this end, and tells the other why. */
  cancel(reason: unknown): void {
    if (this.#isOver) return;
    this.fail(reason);
    if (this.#stream !== 0) this.#options.channel.refuse(this.#stream, reason);
  }

  #end(): void {
    this.#isOver = true;
    this.#onSent();
    this.#options.channel.delist(this);
    this.#options.channel.outbox.leave(this);
    this.#options.channel.readAhead.leave(this);
  }
}
