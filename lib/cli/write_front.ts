import { sha256 } from "../platform/sha256.ts";
import { LEAF_BYTES } from "../tensor/leaf.ts";
import type { TensorSink } from "../tensor/sink.ts";

/** Puts bytes that are known already, a file's header, where a transfer would. */
export async function writeFront(sink: TensorSink, front: Uint8Array): Promise<void> {
  try {
    await sink.begin(new Uint8Array(), []);
    for (let at = 0; at < front.byteLength; at += LEAF_BYTES) {
      const bytes = front.subarray(at, at + LEAF_BYTES);
      await sink.write({ index: at / LEAF_BYTES, digest: await sha256([bytes]) }, bytes);
    }
    await sink.commit(undefined);
  } finally {
    await sink.release();
  }
}
