// This module runs in every runtime.
import { deferred } from "../deferred.ts";
import { IntegrityError, LimitError, ProtocolError, TransportError } from "../errors.ts";
import { type AddressPattern, formatAddress } from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import { leafCount } from "../tensor/leaf.ts";
import { tensorRoot } from "../tensor/root.ts";
import type { StoreEntry, TensorStore } from "../tensor/source.ts";
import { decodeChecked, encodeChecked, encodeMessage } from "../wire/control.ts";
import { FLAG_LAST, FRAME, type FrameHeader, frameName } from "../wire/frame_header.ts";
import { decodeListing, encodeListingEntry, type ListingEntry } from "../wire/listing.ts";
import type { List } from "../wire/messages.ts";
import type { Channel, StreamParty } from "./channel.ts";
import { LeafDigests } from "./leaf_digests.ts";
import type { SessionContext } from "./session_context.ts";
import { StallWatch } from "./stall_watch.ts";

const PAGE_BYTES = 32 * 1024;
const PHASE_INTERVAL_MS = 1000;

/** The asking end of a listing. */
export class ListingRequest implements StreamParty {
  readonly #done = deferred<ListingEntry[]>();
  readonly #entries: ListingEntry[] = [];
  readonly #channel: Channel;
  readonly #maxEntries: number;
  readonly #stream: number;
  readonly #watch: StallWatch;
  #isOver = false;

  constructor(channel: Channel, pattern: AddressPattern, roots: boolean, context: SessionContext) {
    const { stallTimeoutMs: timeoutMs, maxListEntries } = context.limits;
    this.#channel = channel;
    this.#maxEntries = maxListEntries;
    this.#stream = channel.add(this);
    this.#watch = new StallWatch({
      clock: context.clock,
      timeoutMs,
      isWaiting: () => true,
      onStall: () => this.cancel(new TransportError(`The listing stood still for ${timeoutMs} ms`)),
    });
    channel.link.send(encodeMessage("list", this.#stream, { pattern, roots }));
  }

  /** Everything that matched. */
  get done(): Promise<ListingEntry[]> {
    return this.#done.promise;
  }

  frame(header: FrameHeader, payload: Uint8Array): void {
    this.#watch.heard();
    if (header.type === FRAME.phase) return;
    if (header.type !== FRAME.listing) {
      throw new ProtocolError(`A listing cannot hold a ${frameName(header.type)} frame`);
    }
    this.#entries.push(...decodeListing(decodeChecked(header, payload)));
    if (this.#entries.length > this.#maxEntries) {
      const error = new LimitError(`The peer listed more than ${this.#maxEntries} tensors`);
      this.#channel.refuse(this.#stream, error);
      this.fail(error);
      return;
    }
    if ((header.flags & FLAG_LAST) === 0) return;
    this.#isOver = true;
    this.#watch.stop();
    this.#channel.remove(this.#stream);
    this.#done.resolve(this.#entries);
  }

  /** Tells the other end that nobody waits any more, unless the listing is over. */
  cancel(reason: unknown): void {
    if (this.#isOver) return;
    this.#channel.refuse(this.#stream, reason);
    this.fail(reason);
  }

  fail(error: unknown): void {
    this.#isOver = true;
    this.#watch.stop();
    this.#done.reject(error);
  }
}

/** The answering end of a listing: pages of what the store has, in its order. */
export class ListingAnswer implements StreamParty {
  readonly #channel: Channel;
  readonly #stream: number;
  readonly #store: TensorStore;
  readonly #context: SessionContext;
  readonly #answered: Promise<void>;
  #isOver = false;

  constructor(
    channel: Channel,
    stream: number,
    list: List,
    store: TensorStore,
    context: SessionContext,
  ) {
    this.#channel = channel;
    this.#stream = stream;
    this.#store = store;
    this.#context = context;
    this.#answered = this.#answer(list).catch((error) => {
      if (this.#isOver) return;
      this.#isOver = true;
      channel.refuse(stream, error);
    });
  }

  frame(header: FrameHeader): void {
    throw new ProtocolError(`A listing cannot be answered with a ${frameName(header.type)} frame`);
  }

  fail(): void {
    this.#isOver = true;
  }

  work(): Promise<void> {
    return this.#answered;
  }

  async #answer(list: List): Promise<void> {
    let page: Uint8Array[] = [];
    let pageBytes = 0;
    for await (const entry of this.#store.list(list.pattern)) {
      if (this.#isOver) return;
      const root = list.roots ? await this.#rootOf(entry) : undefined;
      const bytes = encodeListingEntry({ ...entry, ...(root && { root }) });
      if (pageBytes + bytes.byteLength > PAGE_BYTES) {
        await this.#send(page, 0);
        page = [];
        pageBytes = 0;
      }
      page.push(bytes);
      pageBytes += bytes.byteLength;
    }
    await this.#send(page, FLAG_LAST);
    this.#isOver = true;
    this.#channel.remove(this.#stream);
  }

  async #send(page: readonly Uint8Array[], flags: number): Promise<void> {
    const body = new Uint8Array(page.reduce((sum, entry) => sum + entry.byteLength, 0));
    let at = 0;
    for (const entry of page) {
      body.set(entry, at);
      at += entry.byteLength;
    }
    await this.#channel.link.write(encodeChecked(FRAME.listing, this.#stream, body, flags));
  }

  async #rootOf(entry: StoreEntry): Promise<Uint8Array> {
    const context = this.#context;
    const key = formatAddress(entry.address);
    const source = await this.#store.open(entry.address);
    try {
      const version = await source.version();
      const options = { source, version, key, cache: context.digests, buffers: context.buffers };
      const digests = new LeafDigests({ ...options, sha256: context.sha256 });
      const all: Uint8Array[] = [];
      let saidAt = context.clock.now();
      for (let index = 0; index < leafCount(source.descriptor.byteLength); index++) {
        all.push(await digests.of(index));
        if (context.clock.now() - saidAt < PHASE_INTERVAL_MS) continue;
        saidAt = context.clock.now();
        const phase = { phase: "verifying", bytes: 0 };
        this.#channel.link.send(encodeMessage("phase", this.#stream, phase));
      }
      const isSame =
        equalBytes(version, entry.version) && equalBytes(await source.version(), version);
      if (isSame) return await tensorRoot(source.descriptor, all, context.sha256);
      throw new IntegrityError("source", `${key} changed while it was listed`, { address: key });
    } finally {
      await source.close?.();
    }
  }
}
