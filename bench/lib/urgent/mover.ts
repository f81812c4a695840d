import type { Part } from "../two_processes.ts";

/** What can be had one at a time: what is measured, and something to compare bulk bytes by. */
export type ItemName = "urgent" | "sample";

/** The receiving end of one way to move urgent items beside a bulk. */
export interface Mover {
  /** Gets an item, whole and verified, in memory. */
  get(name: ItemName): Promise<Uint8Array>;
  /** Begins a bulk that does not end by itself, and returns what ends it. */
  startBulk(): Promise<() => Promise<void>>;
  /** All that has come over the link so far. */
  receivedBytes(): number;
  close(): Promise<void>;
}

/** Both ends of a way. */
export interface Way {
  /** Serves until the receiver leaves. */
  serve(part: Part): Promise<void>;
  join(part: Part): Promise<Mover>;
}
