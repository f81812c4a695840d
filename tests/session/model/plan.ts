/** One transfer of a model. */
export interface TransferPlan {
  /** Which end sends it. */
  readonly from: 0 | 1;
  readonly leaves: number;
  /** Length of a chunk in leaves: a half, or a whole number. */
  readonly chunkLeaves: number;
  readonly priority?: number;
  /**
   * Who takes the leaves: memory at once, a disk in its time, a reader one by one and perhaps never
   * again, a store of the user's own each whenever it likes, perhaps never.
   */
  readonly sink: "memory" | "disk" | "reader" | "store";
  /** Whether the reader waits for bytes from the beginning. */
  readonly isReading?: boolean;
  /** How often it may want to read after that: as often as it likes where left out. */
  readonly reads?: number;
  /** Whether every chunk comes damaged, but for those that are sent again. */
  readonly isDamaged?: boolean;
  /** Whether it begins at any moment, not before everything else. */
  readonly isLate?: boolean;
}

/** What a model begins with, and how much may go wrong. */
export interface Plan {
  readonly transfers: readonly TransferPlan[];
  /** Window of the connection, each way. */
  readonly connectionLeaves: number;
  /** The most that a transfer's window may be. */
  readonly transferLeaves: number;
  /** Chunks that come damaged, transfers that are cancelled, and pauses, at most. */
  readonly damages?: number;
  readonly cancels?: number;
  readonly pauses?: number;
  /** 2 where chunks have a lane of their own: default 1. */
  readonly lanes?: number;
  /** The link's round trip: windows grow when it is known and long. */
  readonly rttMs?: number;
}
