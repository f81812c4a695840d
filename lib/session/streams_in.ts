// This module runs in every runtime.
import type { StreamRun } from "../wire/receipts.ts";

/** Streams of either parity from a first one up to a last one. */
interface Span {
  readonly first: number;
  readonly last: number;
}

/**
 * Those of the open streams that runs name. Runs may be long, many and all the same: it takes as
 * many steps as there are open streams and runs, however many streams those name.
 */
export function* streamsIn(
  runs: readonly StreamRun[],
  open: ReadonlyMap<number, unknown>,
): Generator<number> {
  const named = runs.reduce((sum, { count }) => sum + count, 0);
  if (named <= open.size) {
    for (const { first, count } of runs) {
      for (let n = 0; n < count; n++) if (open.has(first + 2 * n)) yield first + 2 * n;
    }
    return;
  }
  const spans = [0, 1].map((parity) => merged(runs.filter(({ first }) => first % 2 === parity)));
  for (const stream of [...open.keys()]) {
    if (isWithin(spans[stream % 2] as readonly Span[], stream)) yield stream;
  }
}

/** The same streams in ascending spans that do not overlap. */
function merged(runs: readonly StreamRun[]): readonly Span[] {
  const spans: Span[] = [];
  for (const { first, count } of [...runs].sort((a, b) => a.first - b.first)) {
    const last = first + 2 * (count - 1);
    const before = spans.at(-1);
    if (!before || first > before.last) spans.push({ first, last });
    else spans[spans.length - 1] = { first: before.first, last: Math.max(before.last, last) };
  }
  return spans;
}

function isWithin(spans: readonly Span[], stream: number): boolean {
  let [from, end] = [0, spans.length];
  while (from < end) {
    const middle = (from + end) >> 1;
    const { first, last } = spans[middle] as Span;
    if (stream < first) end = middle;
    else if (stream > last) from = middle + 1;
    else return true;
  }
  return false;
}
