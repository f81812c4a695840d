import type { Plan, TransferPlan } from "./plan.ts";

/** A transfer of two leaves into memory, but for what is said. */
const of = (transfer: Partial<TransferPlan> = {}): TransferPlan => ({
  from: 0,
  leaves: 2,
  chunkLeaves: 1,
  sink: "memory",
  ...transfer,
});
const reader = (transfer: Partial<TransferPlan> = {}) => of({ sink: "reader", ...transfer });
/** A reader that never reads, and one that takes a leaf and never reads again. */
const stopped = (chunkLeaves: number) => reader({ leaves: chunkLeaves, chunkLeaves, reads: 0 });
const stopping = (chunkLeaves: number) => ({ ...stopped(chunkLeaves), isReading: true });

/** The smallest windows that there may be: of the connection four leaves, of a transfer two. */
const NARROW = { connectionLeaves: 4, transferLeaves: 2 } as const;
const WIDE = { connectionLeaves: 8, transferLeaves: 4 } as const;

/** What is looked at whole in every run of the tests. */
export const QUICK_PLANS: Readonly<Record<string, Plan>> = {
  "a tensor comes into memory, its chunks damaged or not": {
    ...NARROW,
    transfers: [of({ leaves: 4 })],
    damages: 2,
  },
  "a reader reads and stops as it likes, cancelled or paused by either end": {
    ...NARROW,
    transfers: [reader({ leaves: 3 })],
    cancels: 1,
    pauses: 1,
  },
  "a reader and a disk share a connection, cancelled at any moment": {
    ...NARROW,
    transfers: [reader(), of({ sink: "disk" })],
    cancels: 1,
  },
  "transfers go both ways at once, windows used up": {
    ...NARROW,
    transfers: [of({ leaves: 3 }), of({ from: 1, sink: "disk" })],
    damages: 1,
  },
  "all that the connection's window holds comes damaged, beside a more urgent transfer": {
    ...NARROW,
    transferLeaves: 8,
    transfers: [of({ leaves: 5, isDamaged: true }), of({ leaves: 1, priority: 200 })],
  },
  "a paused transfer came damaged, and others go on": {
    ...NARROW,
    transferLeaves: 8,
    transfers: [of({ leaves: 4, isDamaged: true }), of({ leaves: 1 })],
    pauses: 1,
  },
  "readers wait behind readers that stopped and transfers that are paused": {
    ...NARROW,
    transfers: [stopped(1), stopping(1), reader({ isReading: true, reads: 1 })],
    pauses: 1,
  },
  "readers stop within chunks of several leaves": {
    ...WIDE,
    transfers: [stopped(2), stopped(2), stopped(2), stopping(2), of({ chunkLeaves: 2 })],
  },
  "readers stop, and what was given back is not told yet": {
    connectionLeaves: 32,
    transferLeaves: 16,
    transfers: [stopped(8), stopped(8), stopping(8), of(), of({ leaves: 8, chunkLeaves: 8 })],
  },
  "stores keep a leaf for ever": {
    ...NARROW,
    transfers: [of({ sink: "store" }), of({ sink: "store" }), of({ leaves: 1 })],
  },
  "chunks are halves of leaves": {
    ...NARROW,
    transfers: [of({ chunkLeaves: 0.5, leaves: 1 }), reader({ chunkLeaves: 0.5, leaves: 1 })],
    damages: 1,
  },
  "chunks have a lane of their own": {
    ...NARROW,
    lanes: 2,
    transfers: [of(), reader({ leaves: 1 })],
    damages: 1,
    cancels: 1,
  },
  "one begins when the others hold what they can": {
    ...NARROW,
    transfers: [reader({ reads: 1 }), stopping(1), of({ leaves: 1, isLate: true })],
  },
};

/** What takes longer: `node dist/scripts/explore_flow.js`. */
export const DEEP_PLANS: Readonly<Record<string, Plan>> = {
  "a tensor with all that can happen to one": {
    ...NARROW,
    transferLeaves: 8,
    transfers: [of({ leaves: 5 })],
    damages: 2,
    cancels: 1,
    pauses: 1,
  },
  "a reader and a disk, damaged and cancelled": {
    ...NARROW,
    transfers: [reader(), of({ sink: "disk" })],
    damages: 1,
    cancels: 1,
  },
  "a reader beside memory, damaged and cancelled": {
    ...NARROW,
    transfers: [of({ leaves: 3 }), reader({ leaves: 3 })],
    damages: 1,
    cancels: 1,
  },
  "three readers": { ...NARROW, transfers: [reader(), reader(), reader()] },
  "three readers, paused": {
    ...NARROW,
    transfers: [reader({ leaves: 1 }), reader({ leaves: 1 }), reader({ leaves: 1 })],
    pauses: 1,
  },
  "two readers, paused and cancelled": {
    ...NARROW,
    transfers: [reader(), reader()],
    pauses: 1,
    cancels: 1,
  },
  "both ways, cancelled twice": {
    ...NARROW,
    transfers: [reader(), of({ from: 1 })],
    cancels: 2,
  },
  "both ways, damaged and paused": {
    ...NARROW,
    transfers: [reader(), of({ from: 1 })],
    damages: 1,
    pauses: 1,
  },
  "chunks of two leaves to three readers": {
    ...WIDE,
    transfers: [
      reader({ leaves: 4, chunkLeaves: 2 }),
      reader({ leaves: 4, chunkLeaves: 2 }),
      reader({ chunkLeaves: 2 }),
    ],
  },
  "chunks of two leaves, damaged": {
    ...WIDE,
    transfers: [reader({ leaves: 4, chunkLeaves: 2 }), of({ leaves: 4, chunkLeaves: 2 })],
    damages: 2,
  },
  "chunks of four leaves to readers, and to memory": {
    connectionLeaves: 16,
    transferLeaves: 8,
    transfers: [
      reader({ leaves: 8, chunkLeaves: 4 }),
      reader({ leaves: 4, chunkLeaves: 4 }),
      of({ leaves: 4, chunkLeaves: 4 }),
    ],
  },
  "four damages within a window of four leaves": {
    ...NARROW,
    transferLeaves: 8,
    transfers: [of({ leaves: 4 }), of({ leaves: 1, priority: 200 })],
    damages: 4,
  },
  "a lane for chunks, both ways": {
    ...NARROW,
    lanes: 2,
    transfers: [reader(), of({ from: 1 })],
    damages: 1,
    cancels: 1,
  },
  "windows that grow": {
    connectionLeaves: 8,
    transferLeaves: 8,
    rttMs: 1000,
    transfers: [reader({ leaves: 6 }), of({ leaves: 4 })],
    damages: 1,
  },
};
