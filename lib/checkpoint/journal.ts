// This module runs in every runtime.
import { readU64, viewOf, writeU64 } from "../wire/u64.ts";
import { xxh32 } from "../wire/xxh32.ts";

/*
 * The journal of one output: what of it is verified. Append-only, little-endian.
 *
 *   file    magic (8) | version u32 | keyBytes u32 | check u32 | key | record...
 *   record  check u32 | kind u8 | 0 u8 | bodyBytes u16 | body
 *   begin   ref u32 | fileOffset u64 | byteLength u64 | fileName | tensorKey | version | boot
 *   leaf    ref u32 | index u64 | digest (32, or none)
 *   forget  ref u32 | index u64
 *   commit  ref u32 | root (32, or none)
 *   place   byteLength u64 | fileName
 *   finish  files u32 | overwrite u8
 *
 * A check is the XXH32 of all that follows it in its header or record. A text or a version is its
 * length in bytes as u16, then the bytes.
 */

/** One line of the journal. `ref` stands for the tensor that the last `begin` with it named. */
export type JournalRecord =
  | BeginRecord
  | {
      readonly kind: "leaf";
      readonly ref: number;
      readonly index: number;
      readonly digest: Uint8Array;
    }
  | { readonly kind: "forget"; readonly ref: number; readonly index: number }
  | { readonly kind: "commit"; readonly ref: number; readonly root: Uint8Array | undefined }
  | { readonly kind: "place"; readonly fileName: string; readonly byteLength: number }
  | { readonly kind: "finish"; readonly files: number; readonly overwrite: boolean };

/** From here on these bytes of this file belong to this version of this tensor, and to no other. */
export interface BeginRecord {
  readonly kind: "begin";
  readonly ref: number;
  readonly fileName: string;
  readonly fileOffset: number;
  readonly byteLength: number;
  /** Address and descriptor, as text. */
  readonly tensorKey: string;
  readonly version: Uint8Array;
  /**
   * Until when the leaves can be believed unread: the machine's boot in which they were written,
   * {@linkcode DURABLE}, or `""` for never.
   */
  readonly boot: string;
}

/** What a journal holds, as far as it can be believed. */
export interface DecodedJournal {
  readonly key: string;
  readonly records: readonly JournalRecord[];
  /** False when something after the last of the records was damaged or torn. */
  readonly clean: boolean;
}

/** The `boot` of leaves that were on the disk before their record was written. */
export const DURABLE = "durable";

/** The longest journal that is read: the leaves of about 5 TiB. */
export const MAX_JOURNAL_BYTES: number = 256 * 1024 * 1024;

const MAGIC = Uint8Array.of(0x89, 0x68, 0x72, 0x6a, 0x0d, 0x0a, 0x1a, 0x0a);
const FORMAT_VERSION = 1;
const HEADER_BYTES = 20;
const RECORD_HEAD_BYTES = 8;
const DIGEST_BYTES = 32;
const MAX_KEY_BYTES = 4096;
const MAX_BODY_BYTES = 0xffff;
const KINDS = ["begin", "leaf", "forget", "commit", "place", "finish"] as const;

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Fills a buffer of known length from the left. */
class Writer {
  readonly bytes: Uint8Array;
  #view: DataView;
  #at = 0;

  constructor(byteLength: number) {
    this.bytes = new Uint8Array(byteLength);
    this.#view = viewOf(this.bytes);
  }

  u8(value: number): this {
    this.#view.setUint8(this.#at++, value);
    return this;
  }

  u16(value: number): this {
    this.#view.setUint16(this.#at, value, true);
    this.#at += 2;
    return this;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
    return this;
  }

  u64(value: number): this {
    writeU64(this.#view, this.#at, value);
    this.#at += 8;
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.bytes.set(bytes, this.#at);
    this.#at += bytes.byteLength;
    return this;
  }

  text(bytes: Uint8Array): this {
    return this.u16(bytes.byteLength).raw(bytes);
  }
}

/** Reads a body from the left; anything that is not there or not right is an `Error`. */
class Reader {
  #bytes: Uint8Array;
  #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  get left(): number {
    return this.#bytes.byteLength - this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#at++);
  }

  u16(): number {
    this.#at += 2;
    return this.#view.getUint16(this.#at - 2, true);
  }

  u32(): number {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }

  u64(): number {
    this.#at += 8;
    const value = readU64(this.#view, this.#at - 8);
    if (Number.isNaN(value)) throw new RangeError("past 2^53 - 1");
    return value;
  }

  raw(byteLength: number): Uint8Array {
    if (byteLength > this.left) throw new RangeError("past the end");
    this.#at += byteLength;
    return this.#bytes.slice(this.#at - byteLength, this.#at);
  }

  text(): string {
    return strictUtf8.decode(this.raw(this.u16()));
  }

  digest(): Uint8Array {
    const digest = this.raw(this.left);
    if (digest.byteLength !== 0 && digest.byteLength !== DIGEST_BYTES) throw new RangeError();
    return digest;
  }
}

function encodeBody(record: JournalRecord): Uint8Array {
  switch (record.kind) {
    case "begin": {
      const fileName = utf8.encode(record.fileName);
      const tensorKey = utf8.encode(record.tensorKey);
      const boot = utf8.encode(record.boot);
      const texts = [fileName, tensorKey, record.version, boot];
      const byteLength = texts.reduce((sum, text) => sum + 2 + text.byteLength, 20);
      if (byteLength > MAX_BODY_BYTES) {
        throw new RangeError(
          `A tensor's names take ${byteLength} bytes, at most ${MAX_BODY_BYTES}`,
        );
      }
      const body = new Writer(byteLength);
      body.u32(record.ref).u64(record.fileOffset).u64(record.byteLength);
      for (const text of texts) body.text(text);
      return body.bytes;
    }
    case "leaf":
      return new Writer(12 + record.digest.byteLength)
        .u32(record.ref)
        .u64(record.index)
        .raw(record.digest).bytes;
    case "forget":
      return new Writer(12).u32(record.ref).u64(record.index).bytes;
    case "commit": {
      const root = record.root ?? new Uint8Array();
      return new Writer(4 + root.byteLength).u32(record.ref).raw(root).bytes;
    }
    case "place": {
      const fileName = utf8.encode(record.fileName);
      return new Writer(10 + fileName.byteLength).u64(record.byteLength).text(fileName).bytes;
    }
    case "finish":
      return new Writer(5).u32(record.files).u8(record.overwrite ? 1 : 0).bytes;
  }
}

function decodeBody(kind: (typeof KINDS)[number], body: Reader): JournalRecord {
  switch (kind) {
    case "begin": {
      const [ref, fileOffset, byteLength] = [body.u32(), body.u64(), body.u64()];
      const [fileName, tensorKey] = [body.text(), body.text()];
      const [version, boot] = [body.raw(body.u16()), body.text()];
      if (!Number.isSafeInteger(fileOffset + byteLength)) throw new RangeError("past 2^53 - 1");
      return { kind, ref, fileName, fileOffset, byteLength, tensorKey, version, boot };
    }
    case "leaf":
      return { kind, ref: body.u32(), index: body.u64(), digest: body.digest() };
    case "forget":
      return { kind, ref: body.u32(), index: body.u64() };
    case "commit": {
      const ref = body.u32();
      return { kind, ref, root: body.left === 0 ? undefined : body.digest() };
    }
    case "place":
      return { kind, byteLength: body.u64(), fileName: body.text() };
    case "finish":
      return { kind, files: body.u32(), overwrite: body.u8() === 1 };
  }
}

/**
 * The first bytes of a journal.
 *
 * @param key What the journal is a record of; a journal with another key is not this output's.
 * @throws {RangeError} for a key of more than 4096 bytes of UTF-8.
 */
export function encodeJournalHeader(key: string): Uint8Array {
  const keyBytes = utf8.encode(key);
  if (keyBytes.byteLength > MAX_KEY_BYTES) {
    throw new RangeError(
      `An output's key takes at most ${MAX_KEY_BYTES} bytes, found ${keyBytes.byteLength}`,
    );
  }
  const header = new Writer(HEADER_BYTES + keyBytes.byteLength);
  header.raw(MAGIC).u32(FORMAT_VERSION).u32(keyBytes.byteLength).u32(0).raw(keyBytes);
  viewOf(header.bytes).setUint32(16, headerCheck(header.bytes), true);
  return header.bytes;
}

/** The check stands between what it covers: the lengths seed the check of the key. */
function headerCheck(header: Uint8Array): number {
  return xxh32(header.subarray(HEADER_BYTES), xxh32(header.subarray(0, 16)));
}

/** One record, ready to be appended. */
export function encodeJournalRecord(record: JournalRecord): Uint8Array {
  const body = encodeBody(record);
  const { bytes } = new Writer(RECORD_HEAD_BYTES + body.byteLength)
    .u32(0)
    .u8(KINDS.indexOf(record.kind) + 1)
    .u8(0)
    .u16(body.byteLength)
    .raw(body);
  viewOf(bytes).setUint32(0, xxh32(bytes.subarray(4)), true);
  return bytes;
}

/** The record at `at` and where the next begins, or `undefined` for damage. */
function decodeRecord(
  bytes: Uint8Array,
  view: DataView,
  at: number,
): [JournalRecord, number] | undefined {
  if (at + RECORD_HEAD_BYTES > bytes.byteLength) return undefined;
  const end = at + RECORD_HEAD_BYTES + view.getUint16(at + 6, true);
  if (end > bytes.byteLength) return undefined;
  if (xxh32(bytes.subarray(at + 4, end)) !== view.getUint32(at, true)) return undefined;
  const kind = KINDS[view.getUint8(at + 4) - 1];
  if (kind === undefined) return undefined;
  try {
    const body = new Reader(bytes.subarray(at + RECORD_HEAD_BYTES, end));
    const record = decodeBody(kind, body);
    return body.left === 0 ? [record, end] : undefined;
  } catch {
    return undefined; // the check holds, but no writer of ours made this
  }
}

/**
 * Reads a journal up to the first thing that is not whole and right. Linear, whatever the bytes.
 *
 * @returns `undefined` when this is not a journal, or one of another format version.
 */
export function decodeJournal(bytes: Uint8Array): DecodedJournal | undefined {
  if (bytes.byteLength < HEADER_BYTES || bytes.byteLength > MAX_JOURNAL_BYTES) return undefined;
  if (MAGIC.some((byte, at) => bytes[at] !== byte)) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(8, true) !== FORMAT_VERSION) return undefined;
  const keyBytes = view.getUint32(12, true);
  if (keyBytes > MAX_KEY_BYTES || HEADER_BYTES + keyBytes > bytes.byteLength) return undefined;
  const header = bytes.subarray(0, HEADER_BYTES + keyBytes);
  if (headerCheck(header) !== view.getUint32(16, true)) return undefined;

  const records: JournalRecord[] = [];
  let at = header.byteLength;
  while (at < bytes.byteLength) {
    const decoded = decodeRecord(bytes, view, at);
    if (decoded === undefined) break;
    records.push(decoded[0]);
    at = decoded[1];
  }
  let key: string;
  try {
    key = strictUtf8.decode(header.subarray(HEADER_BYTES));
  } catch {
    return undefined;
  }
  return { key, records, clean: at === bytes.byteLength };
}
