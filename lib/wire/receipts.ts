// This module runs in every runtime.
import { ProtocolError } from "../errors.ts";
import { viewOf } from "./u64.ts";

const RUN_BYTES = 8;
/** Runs that go into one frame. */
const PAGE_RUNS = 4096;

/** Streams that are two apart: `count` of them from `first` on. */
export interface StreamRun {
  readonly first: number;
  readonly count: number;
}

/** RECEIPTS' bodies for streams whose tensors have been taken, in the order given. */
export function* encodeReceipts(streams: readonly number[]): Generator<Uint8Array> {
  const runs: { first: number; count: number }[] = [];
  for (const stream of streams) {
    const last = runs.at(-1);
    if (last && last.first + 2 * last.count === stream) last.count++;
    else runs.push({ first: stream, count: 1 });
  }
  for (let at = 0; at < runs.length; at += PAGE_RUNS) {
    const page = runs.slice(at, at + PAGE_RUNS);
    const body = new Uint8Array(page.length * RUN_BYTES);
    const view = viewOf(body);
    for (const [n, run] of page.entries()) {
      view.setUint32(n * RUN_BYTES, run.first, true);
      view.setUint32(n * RUN_BYTES + 4, run.count, true);
    }
    yield body;
  }
}

/** @throws {ProtocolError} for a body that is not whole runs of streams. */
export function decodeReceipts(body: Uint8Array): StreamRun[] {
  const view = viewOf(body);
  const runs: StreamRun[] = [];
  for (let at = 0; at + RUN_BYTES <= body.byteLength; at += RUN_BYTES) {
    const run = { first: view.getUint32(at, true), count: view.getUint32(at + 4, true) };
    if (run.first === 0 || run.count === 0 || run.first + 2 * (run.count - 1) > 0xffffffff) {
      throw new ProtocolError(`The peer confirmed ${run.count} streams from ${run.first} on`);
    }
    runs.push(run);
  }
  if (runs.length === 0 || body.byteLength % RUN_BYTES !== 0) {
    throw new ProtocolError("The peer sent receipts that end inside a run or are none");
  }
  return runs;
}
