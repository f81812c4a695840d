// This module runs in every runtime.

/** What a read of a stream of bytes takes at most. */
const SLICE_BYTES = 256 * 1024;

/**
 * Reads a stream slice by slice; each is valid until the next read begins. A stream of bytes fills
 * memory of ours, again and again: left to itself, the body of a request comes to a worker in
 * slices of 4 KiB.
 */
export class SliceReader {
  /** The next slice, as from a reader. Rejects with the stream's own error. */
  readonly read: () => Promise<ReadableStreamReadResult<Uint8Array>>;
  /** Nothing more is wanted. */
  readonly cancel: (reason: unknown) => Promise<void>;

  /** @throws {TypeError} for a stream that is locked. */
  constructor(stream: ReadableStream<Uint8Array>) {
    const bytes = bytesReaderOf(stream);
    const reader = bytes ?? stream.getReader();
    this.read = bytes ? readingBytes(bytes) : () => (reader as ReadableStreamDefaultReader).read();
    this.cancel = (reason) => reader.cancel(reason);
  }
}

function readingBytes(reader: ReadableStreamBYOBReader): SliceReader["read"] {
  let memory: ArrayBuffer | undefined;
  return async () => {
    const given = memory ?? new ArrayBuffer(SLICE_BYTES);
    memory = undefined;
    const { done, value } = await reader.read(new Uint8Array(given));
    memory = value?.buffer;
    return done ? { done, value: undefined } : { done, value };
  };
}

/** Nothing says beforehand whether a stream is one of bytes. */
function bytesReaderOf(stream: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | undefined {
  try {
    return stream.getReader({ mode: "byob" });
  } catch {
    return undefined;
  }
}
