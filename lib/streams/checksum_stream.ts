// This module runs in every runtime.
import { sha256 as defaultSha256, type Sha256 } from "../platform/sha256.ts";
import type { TensorChunk } from "../tensor/chunk.ts";
import { LEAF_BYTES } from "../tensor/leaf.ts";
import { xxh32 } from "../wire/xxh32.ts";
import { LeafHasher } from "./leaf_hasher.ts";
import { OrderedMapStream } from "./ordered_map_stream.ts";

/** Options of a {@linkcode ChecksumStream}. */
export interface ChecksumOptions {
  /** Whether leaves get digests; default `"sha256"`. */
  readonly digest?: "sha256" | "none";
  /** The tensor's length where it is known: no chunk is then held back to see whether it is the last. */
  readonly byteLength?: number;
  /** What computes the digests; default the fastest that the runtime has. */
  readonly sha256?: Sha256;
  /** How many chunks may be at the digest at once; default 2. */
  readonly concurrency?: number;
}

/**
 * Adds to each chunk the XXH32 of its bytes and, to the chunk in which a leaf ends, the leaf's
 * SHA-256. Only the tensor's last leaf may be short, so without `byteLength` a chunk that ends
 * within a leaf waits for the next one, or for the end.
 *
 * The stream errors with a `TypeError` for a chunk that is compressed already, and with a
 * `RangeError` for chunks that leave out a part of a leaf.
 *
 * @example
 * ```ts
 * import { ChecksumStream, ChunkerStream } from "headrace";
 *
 * const chunks = new Blob([new Uint8Array(2_000_000)])
 *   .stream()
 *   .pipeThrough(new ChunkerStream())
 *   .pipeThrough(new ChecksumStream());
 * for await (const chunk of chunks) console.log(chunk.checksum, chunk.leafDigests?.length);
 * ```
 */
export class ChecksumStream extends OrderedMapStream<TensorChunk, TensorChunk> {
  constructor(options: ChecksumOptions = {}) {
    const { digest = "sha256", byteLength, sha256 = defaultSha256, concurrency = 2 } = options;
    if (digest !== "sha256" && digest !== "none") {
      throw new TypeError(`digest must be "sha256" or "none", found ${JSON.stringify(digest)}`);
    }
    const hasher = digest === "sha256" ? new LeafHasher(sha256) : undefined;
    let held: TensorChunk | undefined;

    const seal = (chunk: TensorChunk, isLast: boolean): TensorChunk | Promise<TensorChunk> => {
      const checked = { ...chunk, checksum: xxh32(chunk.bytes) };
      if (!hasher) return checked;
      const leafDigests = hasher.add(chunk, isLast);
      return leafDigests instanceof Promise
        ? leafDigests.then((digests) => ({ ...checked, leafDigests: digests }))
        : { ...checked, leafDigests };
    };

    super(
      (chunk) => {
        if (chunk.codec !== "none") {
          throw new TypeError(`Cannot sum a chunk that is compressed by ${chunk.codec}`);
        }
        const before = held ? [seal(held, false)] : [];
        held = undefined;
        const end = chunk.byteOffset + chunk.bytes.byteLength;
        if (hasher && byteLength === undefined && end % LEAF_BYTES !== 0) {
          held = chunk;
          return before;
        }
        return [...before, seal(chunk, end === byteLength)];
      },
      { concurrency, finish: () => (held ? [seal(held, true)] : []) },
    );
  }
}
