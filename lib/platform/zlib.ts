import { builtinModule } from "./builtin.ts";

/** Options of a deflate encoder, in zlib's own terms. */
export interface DeflateSettings {
  /** From 1, fastest, to 9, smallest. */
  readonly level: number;
  /** zlib's `Z_RLE` finds repeats of the byte before only; its default finds all of them, slowly. */
  readonly strategy: "rle" | "default";
}

/** What came out of a deflate stream, and how much of the input it took. */
export interface Inflated {
  readonly bytes: Uint8Array;
  /** Less than was given when something follows the stream's end. */
  readonly consumedBytes: number;
}

/** Raw deflate (RFC 1951), by whoever implements it. */
export interface RawDeflate {
  deflate(bytes: Uint8Array, settings: DeflateSettings): Uint8Array | Promise<Uint8Array>;
  /** Throws or rejects when the input is damaged, ends early or holds more than `maxBytes`. */
  inflate(bytes: Uint8Array, maxBytes: number): Inflated | Promise<Inflated>;
}

interface EncoderOptions {
  level: number;
  strategy: number;
  chunkSize: number;
}

interface DecoderOptions {
  info: true;
  maxOutputLength: number;
  chunkSize: number;
}

interface DecoderResult {
  buffer: Uint8Array;
  /** Its `bytesWritten` counts the input that the decoder took. */
  engine: { bytesWritten: number };
}

type Callback<T> = (error: Error | null, result: T) => void;

/** What is used of `node:zlib`. */
interface NodeZlib {
  constants: { Z_RLE: number; Z_DEFAULT_STRATEGY: number };
  deflateRawSync(bytes: Uint8Array, options: EncoderOptions): Uint8Array;
  deflateRaw(bytes: Uint8Array, options: EncoderOptions, done: Callback<Uint8Array>): void;
  inflateRawSync(bytes: Uint8Array, options: DecoderOptions): DecoderResult;
  inflateRaw(bytes: Uint8Array, options: DecoderOptions, done: Callback<DecoderResult>): void;
}

// Handing work to zlib's threads costs 20 to 100 microseconds. Above this size it is worth it:
// the event loop stays free for what is urgent, and two chunks at once take two cores.
const THREAD_MIN_BYTES = 64 * 1024;

// The smallest output buffer that zlib takes.
const MIN_BUFFER_BYTES = 64;

// A plain view, so that nobody downstream meets Node's own subclass.
const plain = (bytes: Uint8Array) =>
  new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const inflated = ({ buffer, engine }: DecoderResult): Inflated => ({
  bytes: plain(buffer),
  consumedBytes: engine.bytesWritten,
});

function promised<T, R>(start: (done: Callback<T>) => void, result: (value: T) => R): Promise<R> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error ? reject(error) : resolve(result(value))));
  });
}

/**
 * Raw deflate through `node:zlib`, or `undefined` where the runtime does not have it. Chunks of
 * 64 KiB and more go to zlib's own threads, smaller ones are done on the spot.
 */
export function createNodeDeflate(): RawDeflate | undefined {
  const zlib = builtinModule<NodeZlib>("node:zlib");
  if (zlib === undefined) return undefined;
  const strategies = { rle: zlib.constants.Z_RLE, default: zlib.constants.Z_DEFAULT_STRATEGY };
  return {
    deflate(bytes, { level, strategy }) {
      // Output buffers as large as the input: what fits is not put together from pieces.
      const chunkSize = Math.max(MIN_BUFFER_BYTES, bytes.byteLength);
      const options = { level, strategy: strategies[strategy], chunkSize };
      if (bytes.byteLength <= THREAD_MIN_BYTES) return plain(zlib.deflateRawSync(bytes, options));
      return promised((done) => zlib.deflateRaw(bytes, options, done), plain);
    },
    inflate(bytes, maxBytes) {
      const maxOutputLength = Math.max(1, maxBytes);
      const chunkSize = Math.max(MIN_BUFFER_BYTES, maxBytes);
      const options: DecoderOptions = { info: true, maxOutputLength, chunkSize };
      if (maxBytes <= THREAD_MIN_BYTES) return inflated(zlib.inflateRawSync(bytes, options));
      return promised((done) => zlib.inflateRaw(bytes, options, done), inflated);
    },
  };
}
