// This module runs in every runtime.
import { IntegrityError } from "../../errors.ts";
import { equalBytes } from "../../tensor/bytes.ts";
import { checkChunkBytes } from "../../tensor/chunk.ts";
import type { SourceVersion, TensorSource } from "../../tensor/source.ts";
import type { SafetensorsEntry, SafetensorsHeader } from "./header.ts";
import { quote } from "./quote.ts";

/** How {@linkcode writeSafetensors} reads. */
export interface WriteSafetensorsOptions {
  /** Bytes of the largest piece of the stream, from 1 KiB to 64 MiB. Default 1 MiB. */
  readonly chunkBytes?: number;
}

const DEFAULT_CHUNK_BYTES = 1024 * 1024;

/**
 * A whole safetensors file as a stream: the header's bytes just as they are, then every tensor in
 * its place. So a header from `parseHeader` gives the same file again, byte for byte, and one from
 * `encodeHeader` a new one. A piece is read when somebody asks for it; none is kept.
 *
 * @param open Finds the tensor that the header names; it is closed when its bytes are through.
 * @throws {TypeError} in the stream, when a source's descriptor is not the header's.
 * @throws {IntegrityError} in the stream, when a source changed while it was read.
 *
 * @example
 * ```ts
 * import { createDescriptor, type TensorSource } from "headrace";
 * import { encodeHeader, writeSafetensors } from "headrace/safetensors";
 *
 * const descriptor = createDescriptor("U8", [3]);
 * const source: TensorSource = {
 *   descriptor,
 *   version: async () => new Uint8Array(1),
 *   read: async (byteOffset, into) => into.set([7, 8, 9].slice(byteOffset, byteOffset + into.length)),
 * };
 * const stream = writeSafetensors(encodeHeader([{ name: "a", descriptor }]), () => source);
 * await new Response(stream).arrayBuffer();
 * ```
 */
export function writeSafetensors(
  header: SafetensorsHeader,
  open: (name: string) => TensorSource | Promise<TensorSource>,
  options: WriteSafetensorsOptions = {},
): ReadableStream<Uint8Array> {
  const chunkBytes = checkChunkBytes(options.chunkBytes ?? DEFAULT_CHUNK_BYTES);
  const pieces = readPieces(header, open, chunkBytes);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await pieces.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await pieces.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}

async function* readPieces(
  header: SafetensorsHeader,
  open: (name: string) => TensorSource | Promise<TensorSource>,
  chunkBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  // Whoever takes a piece may hand its buffer on for good, and the header is still wanted here.
  yield header.raw.slice();
  for (const entry of header.tensors) {
    const source = await open(entry.name);
    try {
      checkDescriptor(entry, source);
      const version = await source.version();
      const { byteLength } = entry.descriptor;
      for (let at = 0; at < byteLength; at += chunkBytes) {
        const pieceBytes = Math.min(chunkBytes, byteLength - at);
        if (source.view) {
          yield source.view(at, pieceBytes);
        } else {
          const piece = new Uint8Array(pieceBytes);
          await source.read(at, piece);
          yield piece;
        }
      }
      checkVersion(entry.name, version, await source.version());
    } finally {
      await source.close?.();
    }
  }
}

function checkDescriptor({ name, descriptor }: SafetensorsEntry, source: TensorSource): void {
  const wanted = `${descriptor.dtype} [${descriptor.shape.join(", ")}]`;
  const found = `${source.descriptor.dtype} [${source.descriptor.shape.join(", ")}]`;
  if (wanted !== found) {
    throw new TypeError(`Tensor ${quote(name)}: the header says ${wanted}, the source ${found}`);
  }
}

function checkVersion(name: string, before: SourceVersion, after: SourceVersion): void {
  if (!equalBytes(before, after)) {
    throw new IntegrityError("source", `Tensor ${quote(name)} changed while it was read`);
  }
}
