// This module runs in every runtime.
import { ProtocolError } from "../errors.ts";
import { viewOf } from "./u64.ts";

/** The eight bytes before the first frame each way: `hdrc`, lowest and highest version. */
export const PREAMBLE_BYTES = 8;

/** The lowest version of the protocol that this library speaks; SPEC.md describes version 1. */
export const LOWEST_VERSION = 1;
/** The highest version of the protocol that this library speaks. */
export const HIGHEST_VERSION = 1;

const MAGIC = [0x68, 0x64, 0x72, 0x63];

/** A range of protocol versions. */
export interface VersionRange {
  readonly lowest: number;
  readonly highest: number;
}

/** Writes a preamble. */
export function encodePreamble(
  range: VersionRange = { lowest: LOWEST_VERSION, highest: HIGHEST_VERSION },
): Uint8Array {
  const bytes = new Uint8Array(PREAMBLE_BYTES);
  bytes.set(MAGIC);
  viewOf(bytes).setUint16(4, range.lowest, true);
  viewOf(bytes).setUint16(6, range.highest, true);
  return bytes;
}

/** Whether bytes can be the beginning of a preamble, however few there are. */
export function beginsPreamble(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, n) => n >= bytes.byteLength || bytes[n] === byte);
}

/** @throws {ProtocolError} for bytes that do not come from a headrace peer. */
export function decodePreamble(bytes: Uint8Array): VersionRange {
  if (!beginsPreamble(bytes)) {
    const found = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    throw new ProtocolError(`The other end does not speak headrace: it began with ${found}`);
  }
  return { lowest: viewOf(bytes).getUint16(4, true), highest: viewOf(bytes).getUint16(6, true) };
}

/**
 * The version both ends use: the highest they share.
 *
 * @throws {ProtocolError} when they share none.
 */
export function commonVersion(ours: VersionRange, theirs: VersionRange): number {
  const version = Math.min(ours.highest, theirs.highest);
  if (version < Math.max(ours.lowest, theirs.lowest)) {
    throw new ProtocolError(
      `No common protocol version: this end speaks ${ours.lowest} to ${ours.highest}, the other ${theirs.lowest} to ${theirs.highest}`,
    );
  }
  return version;
}
