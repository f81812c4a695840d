// The bytes of the tensors that are moved, made once for all runs of a process.
import { SeededRandom } from "../../../lib/testing/seeded_random.ts";
import { CONTENT_BYTES, type TransferPlan } from "./scenario.ts";

const RUN_BYTES = 512;

let noise: Uint8Array | undefined;
let runs: Uint8Array | undefined;

/** A transfer's bytes: views of what all share, each at a place of its own, so that no two are alike. */
export function contentOf({ byteLength, contentOffset, isCompressible }: TransferPlan): Uint8Array {
  noise ??= new SeededRandom(0).bytes(CONTENT_BYTES);
  runs ??= halfRuns(noise);
  const all = isCompressible ? runs : noise;
  return all.subarray(contentOffset, contentOffset + byteLength);
}

/** Every other stretch repeats a byte, so that a codec finds something and places still differ. */
function halfRuns(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  for (let at = 0; at < copy.byteLength; at += 2 * RUN_BYTES) {
    copy.fill(copy[at] ?? 0, at, at + RUN_BYTES);
  }
  return copy;
}

/** The first place at which two views differ, in length too; -1 where they do not. */
export function firstDifference(found: Uint8Array, wanted: Uint8Array): number {
  const most = Math.min(found.byteLength, wanted.byteLength);
  for (let at = 0; at < most; at++) if (found[at] !== wanted[at]) return at;
  return found.byteLength === wanted.byteLength ? -1 : most;
}
