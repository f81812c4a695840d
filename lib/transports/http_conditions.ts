// This module runs in every runtime.

/** What the headers of a request make of the version that is here: RFC 9110, section 13. */
export interface Conditions {
  /** Answered with this status alone, or with the tensor. */
  readonly status: 200 | 304 | 412;
  /** Whether a `Range` counts. */
  readonly mayBePart: boolean;
}

/** Compares a request's conditions with a strong entity tag, quotes included. */
export function checkConditions(headers: Headers, etag: string): Conditions {
  const ifMatch = headers.get("if-match");
  if (ifMatch !== null && !isListed(ifMatch, etag, false)) return { status: 412, mayBePart: false };
  const ifNoneMatch = headers.get("if-none-match");
  if (ifNoneMatch !== null && isListed(ifNoneMatch, etag, true)) {
    return { status: 304, mayBePart: false };
  }
  const ifRange = headers.get("if-range");
  // A date, or a weak tag, is not strong enough to put parts together by.
  return { status: 200, mayBePart: ifRange === null || ifRange.trim() === etag };
}

function isListed(list: string, etag: string, mayBeWeak: boolean): boolean {
  if (list.trim() === "*") return true;
  const tags = list.match(/(W\/)?"[^"]*"/g) ?? [];
  return tags.some((tag) => tag === etag || (mayBeWeak && tag === `W/${etag}`));
}
