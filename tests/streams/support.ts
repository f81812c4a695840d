// What several suites of stages share.

/** Lets everything that is ready run, `count` times over; no clock is involved. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve();
}

/** Reads a stream to its end. */
export async function collect<T>(stream: ReadableStream<T>): Promise<T[]> {
  const items: T[] = [];
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return items;
    items.push(value);
  }
}

/** A stream that holds nothing ahead of its reader and counts how often it was asked. */
export function countedSource<T>(items: Iterable<T>): {
  stream: ReadableStream<T>;
  pulls: () => number;
  cancelled: () => unknown;
} {
  let pulls = 0;
  let reason: unknown;
  const iterator = items[Symbol.iterator]();
  const stream = new ReadableStream<T>(
    {
      pull(controller) {
        pulls++;
        const next = iterator.next();
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      },
      cancel(why) {
        reason = why;
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, pulls: () => pulls, cancelled: () => reason };
}

/** Bytes that differ everywhere and are the same in every run. */
export function patterned(byteLength: number): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  let state = 0x2545f491;
  for (let i = 0; i < byteLength; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** Whether two views hold the same bytes, quickly: in every runtime, a word at a time. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false;
  const words = a.byteLength >> 2;
  const [left, right] = [wordsOf(a, words), wordsOf(b, words)];
  for (let i = 0; i < words; i++) if (left[i] !== right[i]) return false;
  for (let i = 4 * words; i < a.byteLength; i++) if (a[i] !== b[i]) return false;
  return true;
}

function wordsOf(bytes: Uint8Array, words: number): Uint32Array {
  const { buffer, byteOffset } = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(buffer, byteOffset, words);
}
