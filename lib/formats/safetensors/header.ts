// This module runs in every runtime.
import { FormatError, LimitError } from "../../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../../limits.ts";
import { HEADER_TENSOR } from "../../tensor/address.ts";
import { byteLengthOf, type TensorDescriptor } from "../../tensor/descriptor.ts";
import { DTYPES, type DType, isDType } from "../../tensor/dtype.ts";
import { decodeUtf8, JsonCursor } from "./json_cursor.ts";
import { quote } from "./quote.ts";

/** A tensor as a safetensors file holds it. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly descriptor: TensorDescriptor;
  /** Where its first byte lies, from the beginning of the file. */
  readonly fileOffset: number;
}

/** What the beginning of a safetensors file says about the rest. */
export interface SafetensorsHeader {
  /** The first 8 + N bytes of the file, just as they are. */
  readonly raw: Uint8Array;
  /** The free text under `__metadata__`; empty where there is none. */
  readonly metadata: ReadonlyMap<string, string>;
  /** The tensors in the order in which the file holds their bytes. */
  readonly tensors: readonly SafetensorsEntry[];
  /** Bytes of the whole file. */
  readonly fileBytes: number;
}

/** Bounds that differ from {@linkcode DEFAULT_LIMITS}. */
export interface SafetensorsOptions {
  readonly limits?: Partial<Limits>;
}

/** The header's own length, a little-endian u64, comes before it. */
const LENGTH_BYTES = 8;
const OPENING_BRACE = 0x7b;
const HEADER = "Safetensors header";

/**
 * How many bytes of a file its header takes, the 8 of its length included, told from the first 8.
 * A reader asks before it allocates.
 *
 * @param start The first 8 bytes of the file, or more.
 * @param fileBytes Bytes of the whole file.
 * @throws {FormatError} for a file that is too short to be a safetensors file.
 * @throws {LimitError} for a header over `maxSafetensorsHeaderBytes` (100,000,000).
 *
 * @example
 * ```ts
 * import { headerByteLength } from "headrace/safetensors";
 *
 * const start = Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0);
 * headerByteLength(start, 10); // 10
 * ```
 */
export function headerByteLength(
  start: Uint8Array,
  fileBytes: number,
  options: SafetensorsOptions = {},
): number {
  const { maxSafetensorsHeaderBytes } = { ...DEFAULT_LIMITS, ...options.limits };
  if (!Number.isSafeInteger(fileBytes) || fileBytes < 0) {
    throw new RangeError(`fileBytes must be a whole number of bytes, found ${fileBytes}`);
  }
  if (fileBytes < LENGTH_BYTES || start.byteLength < LENGTH_BYTES) {
    throw new FormatError(
      `${HEADER}: wanted at least ${LENGTH_BYTES} bytes, found ${Math.min(fileBytes, start.byteLength)}`,
    );
  }
  const jsonBytes = new DataView(start.buffer, start.byteOffset, LENGTH_BYTES).getBigUint64(
    0,
    true,
  );
  if (jsonBytes > BigInt(fileBytes - LENGTH_BYTES)) {
    throw new FormatError(
      `${HEADER}: says it takes ${jsonBytes} bytes, but the file has ${fileBytes - LENGTH_BYTES} after the first 8: truncated, or no safetensors file`,
    );
  }
  if (jsonBytes > BigInt(maxSafetensorsHeaderBytes)) {
    throw new LimitError(
      `${HEADER}: may take ${maxSafetensorsHeaderBytes} bytes, found ${jsonBytes}`,
    );
  }
  return LENGTH_BYTES + Number(jsonBytes);
}

interface RawEntry {
  readonly name: string;
  readonly descriptor: TensorDescriptor;
  readonly begin: number;
  readonly end: number;
}

/** Safetensors has the dtypes of one element a block; the quantised ones are GGUF's. */
function isSafetensorsDType(name: string): name is DType {
  return isDType(name) && DTYPES[name].blockElements === 1;
}

function readEntry(
  cursor: JsonCursor,
  name: string,
  maxRank: number,
  fields: Set<string>,
): RawEntry {
  let dtype: DType | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  fields.clear();
  cursor.object((field) => {
    if (field === "dtype") {
      const found = cursor.string();
      if (!isSafetensorsDType(found)) cursor.fail(`unknown dtype ${quote(found)}`);
      dtype = found;
    } else if (field === "shape") {
      const found: number[] = [];
      cursor.array(() => {
        if (found.length === maxRank) {
          throw new LimitError(`${cursor.where}: a shape may have ${maxRank} dimensions`);
        }
        found.push(cursor.wholeNumber());
      });
      shape = found;
    } else if (field === "data_offsets") {
      const found: number[] = [];
      cursor.array(() => {
        if (found.length === 2) cursor.fail("data_offsets must be two numbers, found more");
        found.push(cursor.wholeNumber());
      });
      offsets = found;
    } else {
      cursor.fail(`unknown field ${quote(field)}; wanted dtype, shape and data_offsets`);
    }
  }, fields);
  if (dtype === undefined) cursor.fail("has no dtype");
  if (shape === undefined) cursor.fail("has no shape");
  if (offsets === undefined) cursor.fail("has no data_offsets");
  const [begin, end] = offsets as number[];
  if (begin === undefined || end === undefined) cursor.fail("data_offsets must be two numbers");
  return checkEntry(cursor, name, dtype as DType, shape as number[], begin, end);
}

function checkEntry(
  cursor: JsonCursor,
  name: string,
  dtype: DType,
  shape: number[],
  begin: number,
  end: number,
): RawEntry {
  if (begin > end) cursor.fail(`data_offsets begin at ${begin} and end before, at ${end}`);
  let byteLength: number;
  try {
    byteLength = byteLengthOf(dtype, shape);
  } catch (cause) {
    throw new FormatError(`${cursor.where}: ${(cause as Error).message}`, { cause });
  }
  if (end - begin !== byteLength) {
    cursor.fail(
      `${dtype} [${shape.join(", ")}] takes ${byteLength} bytes, but data_offsets hold ${end - begin}`,
    );
  }
  return { name, descriptor: { dtype, shape, byteLength }, begin, end };
}

function readMetadata(cursor: JsonCursor): Map<string, string> {
  const metadata = new Map<string, string>();
  cursor.object((key) => metadata.set(key, cursor.string()));
  return metadata;
}

/** The buffer is covered by the tensors without overlap, without a gap, and to its last byte. */
function placeEntries(entries: RawEntry[], headerBytes: number, fileBytes: number) {
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const bufferBytes = fileBytes - headerBytes;
  const fail = (message: string, at: number): never => {
    const byteOffset = headerBytes + at;
    throw new FormatError(message, { byteOffset });
  };
  let at = 0;
  let previous: string | undefined;
  const last = () => (previous === undefined ? "the header" : `tensor ${quote(previous)}`);
  for (const { name, begin, end } of entries) {
    if (begin < at) {
      fail(
        `Tensor ${quote(name)}: begins at byte ${begin} of the buffer, inside ${last()}, which ends at ${at}`,
        begin,
      );
    }
    if (begin > at) {
      fail(
        `Tensor ${quote(name)}: ${begin - at} bytes between ${last()} and it belong to no tensor`,
        at,
      );
    }
    if (end > bufferBytes) {
      fail(
        `Tensor ${quote(name)}: ends at byte ${end} of the buffer, but the file ends at ${bufferBytes}: ${end - bufferBytes} bytes or more are missing`,
        bufferBytes,
      );
    }
    at = end;
    previous = name;
  }
  if (at < bufferBytes) {
    fail(`${bufferBytes - at} bytes after ${last()} belong to no tensor`, at);
  }
  return entries.map(({ name, descriptor, begin }) => ({
    name,
    descriptor,
    fileOffset: headerBytes + begin,
  }));
}

/**
 * Reads and checks the header of a safetensors file. Nothing of it is believed before it agrees
 * with everything else and with the size of the file.
 *
 * Source of the format: the "Format" section of huggingface/safetensors' README.
 *
 * @param bytes The file's first 8 + N bytes ({@linkcode headerByteLength} says how many), or more.
 *   The result keeps a view of them.
 * @param fileBytes Bytes of the whole file.
 * @throws {FormatError} naming the tensor, for anything that the format does not allow.
 * @throws {LimitError} for a header, a name or a shape over its limit.
 *
 * @example
 * ```ts
 * import { parseHeader } from "headrace/safetensors";
 *
 * const json = '{"bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}';
 * const bytes = new Uint8Array(8 + json.length);
 * bytes[0] = json.length;
 * new TextEncoder().encodeInto(json, bytes.subarray(8));
 * parseHeader(bytes, bytes.length + 8).tensors[0]?.fileOffset; // 65
 * ```
 */
export function parseHeader(
  bytes: Uint8Array,
  fileBytes: number,
  options: SafetensorsOptions = {},
): SafetensorsHeader {
  const { maxNameBytes, maxRank } = { ...DEFAULT_LIMITS, ...options.limits };
  const headerBytes = headerByteLength(bytes, fileBytes, options);
  if (bytes.byteLength < headerBytes) {
    throw new FormatError(
      `${HEADER}: wanted its ${headerBytes} bytes, was given ${bytes.byteLength}`,
    );
  }
  const raw = bytes.subarray(0, headerBytes);
  if (raw[LENGTH_BYTES] !== OPENING_BRACE) {
    throw new FormatError(`${HEADER}: must begin with "{"`, { byteOffset: LENGTH_BYTES });
  }
  const text = decodeUtf8(raw.subarray(LENGTH_BYTES), HEADER);
  const cursor = new JsonCursor(text, HEADER, LENGTH_BYTES);
  let metadata = new Map<string, string>();
  const entries: RawEntry[] = [];
  const fields = new Set<string>();
  cursor.object((name) => {
    cursor.subject = { kind: name === HEADER_TENSOR ? "The text under" : "Tensor", name };
    if (name === HEADER_TENSOR) {
      metadata = readMetadata(cursor);
    } else {
      checkName(cursor, name, maxNameBytes);
      entries.push(readEntry(cursor, name, maxRank, fields));
    }
    cursor.subject = undefined;
  });
  cursor.end(" ");
  return { raw, metadata, tensors: placeEntries(entries, headerBytes, fileBytes), fileBytes };
}

function checkName(cursor: JsonCursor, name: string, maxNameBytes: number): void {
  if (name === "") cursor.fail("a name must not be empty");
  // A UTF-16 unit takes at most three bytes, so that most names need not be encoded to be measured.
  if (name.length * 3 <= maxNameBytes) return;
  const nameBytes = new TextEncoder().encode(name).byteLength;
  if (nameBytes > maxNameBytes) {
    throw new LimitError(
      `${cursor.where}: a name may take ${maxNameBytes} bytes, found ${nameBytes}`,
    );
  }
}
