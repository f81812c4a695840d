import { type HeadraceError, IntegrityError, NotFoundError } from "../errors.ts";
import { SafetensorsStore } from "../formats/safetensors_store.ts";
import { sha256 } from "../platform/sha256.ts";
import { ByteSource } from "../session/byte_source.ts";
import type { TensorPeer } from "../session/peer.ts";
import type { Transfer } from "../session/transfer.ts";
import { formatAddress, HEADER_TENSOR, parsePattern } from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { StoreEntry, TensorSource } from "../tensor/source.ts";
import { inParallel } from "./in_parallel.ts";
import { encodeManifest, manifestAddress } from "./push_manifest.ts";
import type { Report } from "./report.ts";
import { WorkMeter } from "./work_meter.ts";

/** What to push, and how. */
export interface PushOptions {
  /** A safetensors file, or a folder of them. */
  readonly path: string;
  /** What the model is called at the other end; default: as the path is. */
  readonly model?: string | undefined;
  readonly priority: number;
  readonly report: Report;
  readonly signal: AbortSignal;
}

/** What a push did. */
export interface PushSummary {
  readonly model: string;
  readonly tensors: number;
  readonly bytes: number;
  readonly resumedBytes: number;
  readonly retries: number;
}

const IN_PARALLEL = { most: 32, mostBytes: 48 * 1024 * 1024 };
/** How often in a row a push may begin anew without having got any further. */
const MAX_ROUNDS = 3;
const VERSION_BYTES = 16;

/**
 * Sends a model to a peer that accepts pushes. When it returns, the peer has verified everything
 * and given it its final names; what the peer held already was not sent again.
 *
 * @throws {IntegrityError} at source, when the files keep changing.
 */
export async function push(peer: TensorPeer, options: PushOptions): Promise<PushSummary> {
  const { path, model, report } = options;
  const store = await SafetensorsStore.open([path], model === undefined ? {} : { model });
  const meter = new WorkMeter(report);
  const pushing = new Push(peer, store, options, meter);
  try {
    for (let setbacks = 0; ; ) {
      const { newBytes } = pushing;
      try {
        return await pushing.round();
      } catch (error) {
        if (!(error instanceof Setback)) throw error;
        if (error.reason === "lost" && pushing.newBytes > newBytes) setbacks = 0;
        if (++setbacks === MAX_ROUNDS) throw error.cause;
        const { message } = error.cause;
        const words =
          error.reason === "lost" ? "going on with it" : "going on with the new version";
        report.event({ event: error.reason, message }, `${message}; ${words}`);
      }
    }
  } finally {
    meter.end();
  }
}

/** Why a round must begin anew. */
class Setback extends Error {
  /** The files changed under it, or the peer knows nothing of it any more. */
  readonly reason: "changed" | "lost";
  declare readonly cause: HeadraceError;

  constructor(reason: "changed" | "lost", cause: HeadraceError) {
    super(cause.message, { cause });
    this.reason = reason;
  }
}

class Push {
  readonly #peer: TensorPeer;
  readonly #store: SafetensorsStore;
  readonly #options: PushOptions;
  readonly #meter: WorkMeter;
  /** What the peer held of each tensor when this push first offered it. */
  readonly #resumedBytes = new Map<string, number>();
  #newBytes = 0;

  constructor(peer: TensorPeer, store: SafetensorsStore, options: PushOptions, meter: WorkMeter) {
    this.#peer = peer;
    this.#store = store;
    this.#options = options;
    this.#meter = meter;
  }

  /** Bytes that the peer has verified and did not have before. */
  get newBytes(): number {
    return this.#newBytes;
  }

  /** Sends the list of everything, the headers, then the rest: all of the versions on that list. */
  async round(): Promise<PushSummary> {
    const entries: StoreEntry[] = [];
    for await (const entry of this.#store.list(parsePattern(""))) entries.push(entry);
    const bytes = entries.reduce((sum, { descriptor }) => sum + descriptor.byteLength, 0);
    this.#meter.begin(bytes);
    const [model] = this.#store.models as [string];
    await this.#sendManifest(model, entries);
    const isHeader = ({ address }: StoreEntry) => address.tensor === HEADER_TENSOR;
    const rest = entries.filter((entry) => !isHeader(entry));
    for (const part of [entries.filter(isHeader), rest]) {
      await inParallel(part, bytesOf, IN_PARALLEL, (entry) => this.#send(entry));
    }
    let resumedBytes = 0;
    for (const held of this.#resumedBytes.values()) resumedBytes += held;
    return { model, tensors: rest.length, bytes, resumedBytes, retries: this.#meter.retries };
  }

  async #sendManifest(model: string, entries: readonly StoreEntry[]): Promise<void> {
    const { priority, signal } = this.#options;
    const bytes = encodeManifest(entries);
    const version = (await sha256([bytes])).slice(0, VERSION_BYTES);
    const tensor = { dtype: "U8", shape: [bytes.byteLength] } as const;
    const source = new ByteSource(bytes, tensor, version);
    await this.#peer.streamTensor(manifestAddress(model), source, { priority, signal }).done;
  }

  async #send(entry: StoreEntry): Promise<void> {
    const { priority, signal } = this.#options;
    try {
      const source = new PinnedSource(await this.#store.open(entry.address), entry);
      try {
        const transfer = this.#peer.streamTensor(entry.address, source, { priority, signal });
        this.#meter.add(transfer);
        await transfer.done.finally(() => this.#count(transfer));
      } finally {
        await source.close();
      }
    } catch (error) {
      if (error instanceof NotFoundError) throw new Setback("lost", error);
      const hasChanged = error instanceof IntegrityError && error.where === "source";
      throw hasChanged ? new Setback("changed", error) : error;
    }
  }

  #count({ address, progress }: Transfer): void {
    const { bytes, resumedBytes } = progress;
    this.#newBytes += Math.max(0, bytes - resumedBytes);
    const name = formatAddress(address);
    if (progress.totalBytes === undefined || this.#resumedBytes.has(name)) return;
    this.#resumedBytes.set(name, resumedBytes);
  }
}

/** A tensor of the one version that was listed; any other ends its transfer for good. */
class PinnedSource implements TensorSource {
  readonly #source: TensorSource;
  readonly #entry: StoreEntry;

  constructor(source: TensorSource, entry: StoreEntry) {
    this.#source = source;
    this.#entry = entry;
  }

  get descriptor(): StoreEntry["descriptor"] {
    return this.#source.descriptor;
  }

  async version(): Promise<StoreEntry["version"]> {
    const version = await this.#source.version();
    if (equalBytes(version, this.#entry.version)) return version;
    const address = formatAddress(this.#entry.address);
    throw new IntegrityError("source", `${address} changed while its model was pushed`, {
      address,
      retryable: false,
    });
  }

  read(byteOffset: number, into: Uint8Array): Promise<void> {
    return this.#source.read(byteOffset, into);
  }

  async close(): Promise<void> {
    await this.#source.close?.();
  }
}

const bytesOf = (entry: StoreEntry) => entry.descriptor.byteLength;
