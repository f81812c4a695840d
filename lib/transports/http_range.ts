// This module runs in every runtime.

/** Bytes from one to before another. */
export interface ByteRange {
  readonly from: number;
  readonly end: number;
}

/**
 * The part that a `Range` header asks for, by RFC 9110, section 14.
 *
 * @returns `undefined` where all is to be sent: no header, one that is not understood, or several
 *   ranges; `"unsatisfiable"` for a range past the end.
 *
 * @example
 * ```ts
 * import { parseRange } from "headrace/http";
 *
 * console.log(parseRange("bytes=10-19", 100)); // { from: 10, end: 20 }
 * console.log(parseRange("bytes=-5", 100)); // { from: 95, end: 100 }
 * ```
 */
export function parseRange(
  header: string | null,
  byteLength: number,
): ByteRange | "unsatisfiable" | undefined {
  const [, first = "", last = ""] =
    /^\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(header ?? "") ?? [];
  if (first === "" && last === "") return undefined;
  if (first === "") {
    const count = Math.min(Number(last), byteLength);
    return count === 0 ? "unsatisfiable" : { from: byteLength - count, end: byteLength };
  }
  const from = Number(first);
  const end = last === "" ? byteLength : Math.min(Number(last) + 1, byteLength);
  if (last !== "" && Number(last) < from) return undefined;
  return from < byteLength ? { from, end } : "unsatisfiable";
}
