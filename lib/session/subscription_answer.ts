// This module runs in every runtime.
import { NotFoundError, ProtocolError } from "../errors.ts";
import { formatAddress, type TensorAddress } from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { StoreChange, StoreEntry, TensorStore } from "../tensor/source.ts";
import { encodeMessage } from "../wire/control.ts";
import { FRAME, type FrameHeader, frameName } from "../wire/frame_header.ts";
import type { Notify, Subscribe } from "../wire/messages.ts";
import type { Channel, StreamParty } from "./channel.ts";
import type { SessionContext } from "./session_context.ts";

/** What a {@linkcode SubscriptionAnswer} tells of, and whom. */
export interface SubscriptionAnswerOptions {
  readonly channel: Channel;
  readonly context: SessionContext;
  readonly store: TensorStore;
  readonly stream: number;
  readonly subscribe: Subscribe;
  /** Told once, when it is over. */
  readonly onOver: () => void;
}

/** One address that has changed, and of which that is not told yet. */
interface Waiting {
  readonly address: TensorAddress;
  readonly kind: Notify["kind"];
}

/**
 * The telling end of a subscription: says what is there, then what changes. Of one address only the
 * newest change waits, so that a slow peer costs one entry an address, however often that changes.
 */
export class SubscriptionAnswer implements StreamParty {
  readonly #options: SubscriptionAnswerOptions;
  readonly #waiting = new Map<string, Waiting>();
  readonly #told = new Map<string, Uint8Array>();
  #change = 0;
  #isTelling = false;
  #isOver = false;
  #listing: Promise<void> | undefined;
  #telling: Promise<void> | undefined;
  #unwatch: () => void = () => {};

  constructor(options: SubscriptionAnswerOptions) {
    this.#options = options;
  }

  /** Watches the store, and tells what is there if that is wanted. */
  begin(): void {
    const { store, subscribe } = this.#options;
    if (this.#isOver) return;
    if (!store.watch) {
      this.refuse(new NotFoundError("This peer's store does not tell what changes"));
      return;
    }
    // Watched before it is listed: what changes meanwhile is told of twice at worst.
    try {
      const onChange = ({ kind, address }: StoreChange) => this.#add(address, kind);
      this.#unwatch = store.watch(subscribe.pattern, onChange);
    } catch (error) {
      this.refuse(error);
      return;
    }
    this.#listing = subscribe.initial ? this.#list() : Promise.resolve();
    this.#listing.then(
      () => this.#inForce(),
      (error) => this.refuse(error),
    );
  }

  #inForce(): void {
    const { channel, stream } = this.#options;
    if (!this.#isOver) channel.link.send(encodeMessage("receipt", stream, { complete: true }));
  }

  /** Ends the subscription from this end. */
  refuse(error: unknown): void {
    if (this.#isOver) return;
    this.#end();
    this.#options.channel.refuse(this.#options.stream, error);
  }

  frame(header: FrameHeader): void {
    if (header.type !== FRAME.unsubscribe) {
      throw new ProtocolError(`A subscription cannot take a ${frameName(header.type)} frame`);
    }
    this.#end();
    this.#options.channel.remove(this.#options.stream);
  }

  fail(): void {
    this.#end();
  }

  work(): Promise<unknown> {
    return Promise.allSettled([this.#listing, this.#telling]);
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#unwatch();
    this.#waiting.clear();
    this.#options.onOver();
  }

  async #list(): Promise<void> {
    for await (const entry of this.#options.store.list(this.#options.subscribe.pattern)) {
      if (this.#isOver) return;
      await this.#tell(entry.address, "here", entry);
    }
  }

  #add(address: TensorAddress, kind: Notify["kind"]): void {
    if (this.#isOver) return;
    this.#waiting.set(formatAddress(address), { address, kind });
    if (this.#isTelling) return;
    this.#isTelling = true;
    this.#telling = this.#tellAll();
  }

  async #tellAll(): Promise<void> {
    try {
      for (let next = this.#take(); next && !this.#isOver; next = this.#take()) {
        await this.#tell(next.address, next.kind, await this.#entryOf(next));
      }
    } catch (error) {
      this.refuse(error);
    } finally {
      this.#isTelling = false;
    }
  }

  #take(): Waiting | undefined {
    const [first] = this.#waiting;
    if (!first) return undefined;
    this.#waiting.delete(first[0]);
    return first[1];
  }

  /** What lives there now, which may be newer than what was told. */
  async #entryOf({ address, kind }: Waiting): Promise<StoreEntry | undefined> {
    if (kind === "gone") return undefined;
    try {
      const source = await this.#options.store.open(address);
      try {
        return { address, descriptor: source.descriptor, version: await source.version() };
      } finally {
        await source.close?.();
      }
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  async #tell(
    address: TensorAddress,
    kind: Notify["kind"],
    entry: StoreEntry | undefined,
  ): Promise<void> {
    const { channel, stream } = this.#options;
    const key = formatAddress(address);
    const told = this.#told.get(key);
    if (entry ? told && equalBytes(told, entry.version) : kind === "here") return;
    if (entry) this.#told.set(key, entry.version);
    else this.#told.delete(key);
    this.#change++;
    const notify: Notify = {
      kind: entry ? kind : "gone",
      change: this.#change,
      address,
      ...(entry && { descriptor: entry.descriptor, version: entry.version }),
    };
    // Written, not queued: a peer that does not read holds the rest up here.
    if (!this.#isOver) await channel.link.write(encodeMessage("notify", stream, notify));
  }
}
