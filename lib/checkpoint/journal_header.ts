// This module runs in every runtime.
import { readU64, viewOf, writeU64 } from "../wire/u64.ts";
import { xxh32 } from "../wire/xxh32.ts";
import { ByteWriter } from "./byte_writer.ts";

/*
 *   header  magic (8) | version u32 | keyBytes u32 | homeBytes u32 | check u32 | key | home | floor
 *   floor   floorBytes u64 | check u32
 *
 * A check is the XXH32 of everything else that its header, or the floor, holds.
 */

/** How a journal begins. */
export interface JournalHeader {
  /** What the journal is a record of; a journal with another key is not this output's. */
  readonly key: string;
  /** Which file this journal was written to: in any other it is a copy, `""` in every file. */
  readonly home: string;
  /**
   * How long the journal was when it last took something back: a shorter one has lost that, and
   * may vouch for bytes that were overwritten since. Infinite when it cannot be read.
   */
  readonly floorBytes: number;
  /** Where the records begin. */
  readonly byteLength: number;
}

const MAGIC = Uint8Array.of(0x89, 0x68, 0x72, 0x6a, 0x0d, 0x0a, 0x1a, 0x0a);
const FORMAT_VERSION = 2;
const FIXED_BYTES = 24;
const MAX_KEY_BYTES = 4096;
const MAX_HOME_BYTES = 256;

/** The length of the floor, with which a header ends: the one part that is written anew in place. */
export const FLOOR_BYTES = 12;

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Whether a file that begins with these bytes is a journal of any version, whole or not. */
export function isJournal(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, at) => bytes[at] === byte);
}

/** @throws {RangeError} for a key of more than 4096 bytes of UTF-8. */
export function checkKey(key: string): void {
  const { byteLength } = utf8.encode(key);
  if (byteLength <= MAX_KEY_BYTES) return;
  throw new RangeError(`An output's key takes at most ${MAX_KEY_BYTES} bytes, found ${byteLength}`);
}

/**
 * The first bytes of a journal, without a floor.
 *
 * @throws {RangeError} for a key of more than 4096 bytes of UTF-8, or a home of more than 256.
 */
export function encodeJournalHeader(key: string, home: string): Uint8Array {
  checkKey(key);
  const [keyBytes, homeBytes] = [utf8.encode(key), utf8.encode(home)];
  if (homeBytes.byteLength > MAX_HOME_BYTES) {
    throw new RangeError(
      `A journal's home takes at most ${MAX_HOME_BYTES} bytes, found ${homeBytes.byteLength}`,
    );
  }
  const namesEnd = FIXED_BYTES + keyBytes.byteLength + homeBytes.byteLength;
  const { bytes } = new ByteWriter(namesEnd + FLOOR_BYTES)
    .raw(MAGIC)
    .u32(FORMAT_VERSION)
    .u32(keyBytes.byteLength)
    .u32(homeBytes.byteLength)
    .u32(0)
    .raw(keyBytes)
    .raw(homeBytes)
    .raw(encodeJournalFloor(0));
  viewOf(bytes).setUint32(FIXED_BYTES - 4, headerCheck(bytes.subarray(0, namesEnd)), true);
  return bytes;
}

/** A floor, to be written over the last {@linkcode FLOOR_BYTES} of the header. */
export function encodeJournalFloor(floorBytes: number): Uint8Array {
  const bytes = new Uint8Array(FLOOR_BYTES);
  const view = viewOf(bytes);
  writeU64(view, 0, floorBytes);
  view.setUint32(8, xxh32(bytes.subarray(0, 8)), true);
  return bytes;
}

/** @returns `undefined` when this is not a journal, or one of another format version. */
export function decodeJournalHeader(bytes: Uint8Array): JournalHeader | undefined {
  if (bytes.byteLength < FIXED_BYTES + FLOOR_BYTES || !isJournal(bytes)) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(8, true) !== FORMAT_VERSION) return undefined;
  const [keyBytes, homeBytes] = [view.getUint32(12, true), view.getUint32(16, true)];
  if (keyBytes > MAX_KEY_BYTES || homeBytes > MAX_HOME_BYTES) return undefined;
  const homeAt = FIXED_BYTES + keyBytes;
  const floorAt = homeAt + homeBytes;
  const byteLength = floorAt + FLOOR_BYTES;
  if (byteLength > bytes.byteLength) return undefined;
  if (headerCheck(bytes.subarray(0, floorAt)) !== view.getUint32(20, true)) return undefined;
  const isFloorWhole =
    xxh32(bytes.subarray(floorAt, floorAt + 8)) === view.getUint32(floorAt + 8, true);
  const floorBytes = isFloorWhole ? readU64(view, floorAt) : Number.POSITIVE_INFINITY;
  try {
    const key = strictUtf8.decode(bytes.subarray(FIXED_BYTES, homeAt));
    const home = strictUtf8.decode(bytes.subarray(homeAt, floorAt));
    return { key, home, floorBytes, byteLength };
  } catch {
    return undefined; // the check holds, but no writer of ours made this
  }
}

/** The check stands between what it covers: the lengths seed the check of the names. */
function headerCheck(header: Uint8Array): number {
  return xxh32(header.subarray(FIXED_BYTES), xxh32(header.subarray(0, FIXED_BYTES - 4)));
}
