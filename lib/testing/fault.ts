// This module runs in every runtime.

/** What every {@linkcode Fault} says: how many bytes of the way have come when it happens. */
interface AtByte {
  /** Bytes that the sender has written to this way since the connection began. */
  readonly atByte: number;
}

/** The connection is reset. What had come until then is passed on first. */
export interface CutFault extends AtByte {
  readonly kind: "cut";
}

/** This way ends in order, the other goes on; nothing more is taken from the sender. */
export interface HalfCloseFault extends AtByte {
  readonly kind: "half_close";
}

/** The next bytes are lost, and the connection then ends in order, both ways. */
export interface TruncateFault extends AtByte {
  readonly kind: "truncate";
  readonly bytes: number;
}

/** Nothing passes for a time. */
export interface StallFault extends AtByte {
  readonly kind: "stall";
  readonly forMs: number | "ever";
}

/** From here on bytes pass at this rate, until another throttle. */
export interface ThrottleFault extends AtByte {
  readonly kind: "throttle";
  readonly bytesPerSecond: number | "unlimited";
  /** Bytes that may wait for their turn before the sender has to; default 64 KiB. */
  readonly bufferBytes?: number;
}

/** From here on bytes take this long to pass, in order, until another delay. */
export interface DelayFault extends AtByte {
  readonly kind: "delay";
  readonly delayMs: number;
}

/** Bits of the next byte are turned. */
export interface FlipFault extends AtByte {
  readonly kind: "flip";
  /** The bits, 1 to 255. */
  readonly bits: number;
}

/** The next bytes come twice. */
export interface DuplicateFault extends AtByte {
  readonly kind: "duplicate";
  /** At most 1 MiB: they are held until the last of them has come. */
  readonly bytes: number;
}

/** The next bytes are lost, and what follows takes their place. */
export interface SwallowFault extends AtByte {
  readonly kind: "swallow";
  readonly bytes: number;
}

/**
 * Something that goes wrong on one way of a connection, after a number of bytes: plain data, so that
 * it can be printed and read again. A fault that falls into the bytes of the one before it happens
 * after them.
 */
export type Fault =
  | CutFault
  | HalfCloseFault
  | TruncateFault
  | StallFault
  | ThrottleFault
  | DelayFault
  | FlipFault
  | DuplicateFault
  | SwallowFault;

/** The name of each kind of {@linkcode Fault}. */
export type FaultKind = Fault["kind"];

/** Every kind there is. */
export const FAULT_KINDS: readonly FaultKind[] = [
  "cut",
  "half_close",
  "truncate",
  "stall",
  "throttle",
  "delay",
  "flip",
  "duplicate",
  "swallow",
];

/** The most that a {@linkcode DuplicateFault} repeats. */
export const MAX_DUPLICATE_BYTES: number = 1024 * 1024;

/** What goes wrong with one connection, each way by itself. */
export interface ConnectionFaults {
  /** From the end that dialled to the end that accepted. */
  readonly up?: readonly Fault[];
  /** Back to the end that dialled. */
  readonly down?: readonly Fault[];
}

/** What goes wrong with the connections to one peer: plain data that `JSON` takes and gives back. */
export interface FaultPlan {
  /** The seed that the plan was made from, where it was. */
  readonly seed?: number;
  /** The first connection's faults, the second's, and so on. */
  readonly connections: readonly ConnectionFaults[];
  /** The faults of every later connection; none where left out. */
  readonly later?: ConnectionFaults;
}
