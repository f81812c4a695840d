// This module runs in every runtime.
import { IntegrityError, ProtocolError } from "../errors.ts";
import type { HttpAnswer } from "./requests.ts";
import { shown } from "./status_errors.ts";

/** By what a resource is known again: RFC 9110, section 8.8. */
export interface Validators {
  /** A strong entity tag, quotes included: only by that are parts put together. */
  readonly etag: string | undefined;
  /** Whatever else the server says of the version: equal ones may still differ in their bytes. */
  readonly hints: string;
}

/** A resource in one version. */
export interface HttpResource {
  readonly url: URL;
  readonly byteLength: number;
  readonly validators: Validators;
  /** Whether the server gives parts. */
  readonly hasRanges: boolean;
}

/** What an answer says of its version. */
export function validatorsOf(headers: Headers): Validators {
  const etag = headers.get("etag") ?? "";
  return {
    etag: /^"[^"]*"$/.test(etag) ? etag : undefined,
    hints: `${etag} ${headers.get("last-modified") ?? ""}`.trim(),
  };
}

/** Whether parts that come in several answers can be put together. */
export const isResumable = ({ hasRanges, validators }: HttpResource): boolean =>
  hasRanges && validators.etag !== undefined;

/** What to ask with, for the bytes from one to before another. */
export function rangeHeaders(
  { hasRanges, validators }: HttpResource,
  from: number,
  end: number,
): Record<string, string> {
  if (!hasRanges) return {};
  const { etag } = validators;
  return { range: `bytes=${from}-${end - 1}`, ...(etag !== undefined && { "if-range": etag }) };
}

/** The first byte, the last and the length that `Content-Range` names. */
export interface ContentRange {
  readonly first: number;
  readonly last: number;
  readonly total: number | undefined;
}

/** @throws {ProtocolError} for anything but one range of bytes. */
export function contentRangeOf(url: URL, headers: Headers): ContentRange {
  const text = headers.get("content-range") ?? "";
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/i.exec(text) ?? [];
  const range = {
    first: Number(first),
    last: Number(last),
    total: total === "*" ? undefined : Number(total),
  };
  if (Number.isSafeInteger(range.last) && range.first <= range.last) return range;
  throw new ProtocolError(
    `${shown(url)} answered with a part, but not which: content-range is "${text}"`,
  );
}

/**
 * Holds an answer to what was asked for.
 *
 * @returns how many bytes of the body come before the first that was wanted.
 * @throws {IntegrityError} at source, for an answer of another version.
 * @throws {ProtocolError} for another part, or a length that cannot be.
 */
export function checkAnswer(
  { url, byteLength, validators }: HttpResource,
  { status, headers }: HttpAnswer,
  from: number,
  end: number,
): number {
  const found = validatorsOf(headers);
  const { etag } = validators;
  // A part that is sent on the condition of its tag need not repeat it.
  const isSame =
    etag === undefined
      ? found.hints === validators.hints
      : found.etag === etag || (status === 206 && headers.get("etag") === null);
  const length = Number(headers.get("content-length") ?? Number.NaN);
  const isPart = status === 206;
  const range = isPart ? contentRangeOf(url, headers) : undefined;
  const total = isPart ? range?.total : length;
  const isOfLength = total === undefined || Number.isNaN(total) || total === byteLength;
  if (!isSame || !isOfLength) {
    throw new IntegrityError("source", `${shown(url)} changed while it was fetched`);
  }
  if (!range) return from;
  if (range.first !== from || range.last !== end - 1) {
    throw new ProtocolError(
      `Asked ${shown(url)} for bytes ${from} to ${end - 1}, was given ${range.first} to ${range.last}`,
    );
  }
  if (!Number.isNaN(length) && length !== end - from) {
    throw new ProtocolError(
      `${shown(url)} says that bytes ${from} to ${end - 1} take ${length} bytes`,
    );
  }
  return 0;
}
