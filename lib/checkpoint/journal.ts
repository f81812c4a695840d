// This module runs in every runtime.
import { viewOf } from "../wire/u64.ts";
import { xxh32 } from "../wire/xxh32.ts";
import { ByteReader } from "./byte_reader.ts";
import { ByteWriter } from "./byte_writer.ts";
import { decodeJournalHeader } from "./journal_header.ts";

/*
 * The journal of one output: what of it is verified. Append-only, little-endian.
 *
 *   file    header | record...
 *   record  check u32 | kind u8 | 0 u8 | bodyBytes u16 | body
 *   begin   ref u32 | fileOffset u64 | byteLength u64 | fileName | tensorKey | version | boot
 *   leaf    ref u32 | index u64 | digest (32, or none)
 *   forget  ref u32 | index u64
 *   commit  ref u32 | root (32, or none)
 *   place   byteLength u64 | fileName
 *   finish  files u32 | overwrite u8
 *
 * A check is the XXH32 of all that follows it in its record. A text or a version is its length in
 * bytes as u16, then the bytes. The header is in journal_header.ts.
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
  /** As in the header; {@linkcode JournalFile} knows which file it reads. */
  readonly home: string;
  readonly records: readonly JournalRecord[];
  /**
   * False when something after the last of the records was damaged, torn or cut off, and may have
   * taken back what they say.
   */
  readonly clean: boolean;
}

/** The `boot` of leaves that were on the disk before their record was written. */
export const DURABLE = "durable";

/** The longest journal that is read: the leaves of about 5 TiB. */
export const MAX_JOURNAL_BYTES: number = 256 * 1024 * 1024;

const RECORD_HEAD_BYTES = 8;
const MAX_BODY_BYTES = 0xffff;
const KINDS = ["begin", "leaf", "forget", "commit", "place", "finish"] as const;

const utf8 = new TextEncoder();

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
      const body = new ByteWriter(byteLength);
      body.u32(record.ref).u64(record.fileOffset).u64(record.byteLength);
      for (const text of texts) body.text(text);
      return body.bytes;
    }
    case "leaf":
      return new ByteWriter(12 + record.digest.byteLength)
        .u32(record.ref)
        .u64(record.index)
        .raw(record.digest).bytes;
    case "forget":
      return new ByteWriter(12).u32(record.ref).u64(record.index).bytes;
    case "commit": {
      const root = record.root ?? new Uint8Array();
      return new ByteWriter(4 + root.byteLength).u32(record.ref).raw(root).bytes;
    }
    case "place": {
      const fileName = utf8.encode(record.fileName);
      return new ByteWriter(10 + fileName.byteLength).u64(record.byteLength).text(fileName).bytes;
    }
    case "finish":
      return new ByteWriter(5).u32(record.files).u8(record.overwrite ? 1 : 0).bytes;
  }
}

function decodeBody(kind: (typeof KINDS)[number], body: ByteReader): JournalRecord {
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

/** One record, ready to be appended. */
export function encodeJournalRecord(record: JournalRecord): Uint8Array {
  const body = encodeBody(record);
  const { bytes } = new ByteWriter(RECORD_HEAD_BYTES + body.byteLength)
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
    const body = new ByteReader(bytes.subarray(at + RECORD_HEAD_BYTES, end));
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
  if (bytes.byteLength > MAX_JOURNAL_BYTES) return undefined;
  const header = decodeJournalHeader(bytes);
  if (header === undefined) return undefined;
  const { key, home, floorBytes } = header;
  const view = viewOf(bytes);
  const records: JournalRecord[] = [];
  let at = header.byteLength;
  while (at < bytes.byteLength) {
    const decoded = decodeRecord(bytes, view, at);
    if (decoded === undefined) break;
    records.push(decoded[0]);
    at = decoded[1];
  }
  return { key, home, records, clean: at === bytes.byteLength && at >= floorBytes };
}
