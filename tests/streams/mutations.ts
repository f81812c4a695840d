// Seeded damage to recorded transfers: what the suite does a few thousand times, scripts/fuzz_wire.ts a million.
import { HeadraceError } from "../../lib/errors.ts";
import { CHUNK_HEAD_BYTES, FRAME, FRAME_HEADER_BYTES } from "../../lib/wire/frame_header.ts";
import { xxh32 } from "../../lib/wire/xxh32.ts";
import { countWork } from "../complexity.ts";
import { concat, type TransferVector, transfers } from "../wire/vectors.ts";
import { sameBytes } from "./support.ts";
import { receive } from "./transfer_pipeline.ts";

/** What became of a mutation: the true tensor after all, or the code of the error that it ended in. */
export type Outcome = "harmless" | HeadraceError["code"];

// Small ones with digests: without digests a mutation whose checks fit again is another tensor.
const recordings = transfers.filter(
  (one) => one.digest === "sha256" && one.byteLength > 0 && one.byteLength < 10_000,
);
/** The tensor, its frames, and what streams and error messages take. */
const MAX_ALLOCATED_BYTES = 256 * 1024;
const HANG_MS = 10_000;

/** Numbers from 0 to below `limit`, the same for the same seed (mulberry32). */
export function seededNumbers(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

/** A frame whose checks are made to fit its bytes, so that what is wrong with it gets past them. */
function sealed(frame: Uint8Array): Uint8Array {
  if (frame.byteLength < FRAME_HEADER_BYTES) return frame;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  view.setUint32(12, xxh32(frame.subarray(0, 12), 0x68647263), true);
  const headEnd = FRAME_HEADER_BYTES + CHUNK_HEAD_BYTES;
  if (frame[0] === FRAME.chunk && frame.byteLength >= headEnd) {
    const head = frame.subarray(FRAME_HEADER_BYTES, headEnd - 4);
    view.setUint32(headEnd - 4, xxh32(head, 0x6368756e), true);
  } else if (frame.byteLength >= FRAME_HEADER_BYTES + 4) {
    const body = frame.subarray(FRAME_HEADER_BYTES, -4);
    view.setUint32(frame.byteLength - 4, xxh32(body), true);
  }
  return frame;
}

/** Changes a few bytes: a bit, a byte, an extreme value, or a byte more or less. */
function bend(frame: Uint8Array, below: (limit: number) => number): Uint8Array {
  const at = below(frame.byteLength);
  const bent = frame.slice();
  switch (below(5)) {
    case 0:
      bent[at] = (bent[at] as number) ^ (1 << below(8));
      return bent;
    case 1:
      bent[at] = below(256);
      return bent;
    case 2:
      bent.fill(below(2) * 255, at, at + 1 + below(8));
      return bent;
    case 3:
      return concat([bent.subarray(0, at), Uint8Array.of(below(256)), bent.subarray(at)]);
    default:
      return concat([bent.subarray(0, at), bent.subarray(at + 1 + below(8))]);
  }
}

/** A recorded transfer with one to three things wrong with it, in slices of any size. */
function mutate(below: (limit: number) => number): {
  vector: TransferVector;
  slices: Uint8Array[];
} {
  const vector = recordings[below(recordings.length)] as TransferVector;
  let frames = [...vector.frames];
  for (let left = 1 + below(3); left > 0 && frames.length > 0; left--) {
    const n = below(frames.length);
    const frame = frames[n] as Uint8Array;
    const kind = below(8);
    if (kind < 2) frames[n] = bend(frame, below);
    else if (kind < 5) frames[n] = sealed(bend(frame, below));
    else if (kind === 5) frames = frames.toSpliced(n, 1);
    else if (kind === 6) frames = frames.toSpliced(n, 0, frame);
    else frames = frames.toSpliced(n, 1).toSpliced(below(frames.length), 0, frame);
  }
  const bytes = concat(frames);
  const slices: Uint8Array[] = [];
  const most = 1 + below(2000);
  for (let at = 0; at < bytes.byteLength; ) {
    const end = at + 1 + below(most);
    slices.push(bytes.subarray(at, end));
    at = end;
  }
  return { vector, slices };
}

/**
 * Receives the mutation that a seed stands for.
 *
 * @throws {Error} for anything but the true tensor or a typed error, within bounded memory.
 */
export async function tryMutation(seed: number): Promise<Outcome> {
  const { vector, slices } = mutate(seededNumbers(seed));
  let outcome: Outcome = "harmless";
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hang = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`seed ${seed} hangs`)), HANG_MS);
  });
  const work = await countWork(async () => {
    try {
      const content = await Promise.race([receive(slices), hang]);
      if (!sameBytes(content, vector.content)) throw new Error(`seed ${seed} made another tensor`);
    } catch (error) {
      if (!(error instanceof HeadraceError)) throw new Error(`seed ${seed}`, { cause: error });
      outcome = error.code;
    } finally {
      clearTimeout(timer);
    }
  });
  if (work.allocatedBytes > MAX_ALLOCATED_BYTES) {
    throw new Error(`seed ${seed} made the receiver take ${work.allocatedBytes} bytes`);
  }
  return outcome;
}
