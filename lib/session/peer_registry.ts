// This module runs in every runtime.
import type { TransferProgress } from "../tensor/progress.ts";
import type { TensorPeer } from "./peer.ts";
import { ResponseMeter, type ResponseTotals } from "./response_meter.ts";
import type { Transfer } from "./transfer.ts";
import { snapshotOf, type TransferSnapshot } from "./transfer_snapshot.ts";

/** Options of a {@linkcode PeerRegistry}. */
export interface PeerRegistryOptions {
  /** Transfers that are over and still shown; the oldest gives way. Default 100. */
  readonly maxRecent?: number;
}

/** What all transfers of one direction have come to, those under way included. */
export interface TransferTotals
  extends Pick<
    TransferProgress,
    "bytes" | "chunks" | "wireBytes" | "rawBytes" | "resumedBytes" | "retries"
  > {
  /** How many have ended, by how. */
  readonly complete: number;
  readonly failed: number;
  readonly cancelled: number;
}

/** What everything has come to; nothing of it ever gets less. */
export interface RegistryTotals {
  readonly in: TransferTotals;
  readonly out: TransferTotals;
  /** Bytes written to connections and read from them, everything counted. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** What was answered over plain HTTP, which is no connection of a peer's and no transfer. */
  readonly responses: ResponseTotals;
}

const DEFAULT_MAX_RECENT = 100;
const SUMMED = ["bytes", "chunks", "wireBytes", "rawBytes", "resumedBytes", "retries"] as const;
const NOTHING: TransferTotals = {
  bytes: 0,
  chunks: 0,
  wireBytes: 0,
  rawBytes: 0,
  resumedBytes: 0,
  retries: 0,
  complete: 0,
  failed: 0,
  cancelled: 0,
};

/**
 * Where the peers of a process can be looked at together: who is connected, what moves, what was
 * over lately, and what it all comes to. Give it to each peer as its option `registry`. It is asked
 * and does not watch: beside a few additions at the end of each transfer, it costs nothing while
 * nobody looks. A peer is in it until it is closed.
 *
 * @example
 * ```ts
 * import { MemoryStore, PeerRegistry, TensorPeer } from "headrace";
 * import { connectionPair } from "headrace/memory";
 *
 * const registry = new PeerRegistry();
 * const address = { model: "m", partition: "default", tensor: "w" };
 * const store = new MemoryStore();
 * store.set(address, new Float32Array([1, 2, 3]));
 * const [here, there] = connectionPair();
 * await using server = new TensorPeer(there, { store, accepted: true, node: "server" });
 * await using client = new TensorPeer(here, { registry });
 *
 * await client.requestTensor(address, { into: "memory" }).done;
 * console.log(registry.peers[0]?.connection?.node); // server
 * console.log(registry.totals().in.bytes, registry.recent[0]?.status); // 12 complete
 * ```
 */
export class PeerRegistry {
  /** Told of what is answered over plain HTTP, by handlers that have the registry as an option. */
  readonly responses: ResponseMeter = new ResponseMeter();
  readonly #maxRecent: number;
  readonly #peers = new Set<TensorPeer>();
  readonly #recent: TransferSnapshot[] = [];
  /** What the transfers that are over have come to. */
  readonly #ended = { in: { ...NOTHING }, out: { ...NOTHING } };
  /** The most that was told so far: a transfer that has to begin anew takes nothing back. */
  readonly #toldBytes = { in: 0, out: 0 };
  /** What the peers that left have moved. */
  #sentBefore = 0;
  #receivedBefore = 0;

  constructor(options: PeerRegistryOptions = {}) {
    this.#maxRecent = options.maxRecent ?? DEFAULT_MAX_RECENT;
  }

  /** The peers that are not closed, in the order in which they were made. */
  get peers(): readonly TensorPeer[] {
    return [...this.#peers];
  }

  /** The transfers under way, of all peers. */
  get transfers(): readonly Transfer[] {
    return this.peers.flatMap((peer) => peer.transfers);
  }

  /** The transfers that were over last, the newest at the end. */
  get recent(): readonly TransferSnapshot[] {
    return [...this.#recent];
  }

  /**
   * What everything has come to by now: the sums of what the transfers report, to the byte. Entries
   * of request lists are no transfers; they are in the connections' bytes.
   *
   * @example
   * ```ts
   * import { PeerRegistry } from "headrace";
   *
   * console.log(new PeerRegistry().totals().out.bytes); // 0
   * ```
   */
  totals(): RegistryTotals {
    let [sentBytes, receivedBytes] = [this.#sentBefore, this.#receivedBefore];
    for (const peer of this.#peers) {
      sentBytes += peer.sentBytes;
      receivedBytes += peer.receivedBytes;
    }
    const totals = { in: { ...this.#ended.in }, out: { ...this.#ended.out } };
    for (const transfer of this.transfers) add(totals[transfer.direction], transfer.progress);
    for (const direction of ["in", "out"] as const) {
      const told = Math.max(this.#toldBytes[direction], totals[direction].bytes);
      this.#toldBytes[direction] = told;
      totals[direction].bytes = told;
    }
    return { ...totals, sentBytes, receivedBytes, responses: this.responses.totals };
  }

  /** For a peer: it is there, and will be until it is closed. */
  add(peer: TensorPeer): void {
    this.#peers.add(peer);
    const over = () => {
      if (!this.#peers.delete(peer)) return;
      this.#sentBefore += peer.sentBytes;
      this.#receivedBefore += peer.receivedBytes;
    };
    peer.closed.then(over, over);
  }

  /** For a peer: one of its transfers is over. */
  ended(transfer: Transfer, peer: TensorPeer): void {
    const { direction, status, progress } = transfer;
    const totals = this.#ended[direction];
    add(totals, progress);
    if (status === "complete" || status === "failed" || status === "cancelled") totals[status]++;
    this.#recent.push(snapshotOf(transfer, peer.connection?.node));
    if (this.#recent.length > this.#maxRecent) this.#recent.shift();
  }
}

function add(totals: { -readonly [K in keyof TransferTotals]: number }, more: TransferProgress) {
  for (const name of SUMMED) totals[name] += more[name];
}
