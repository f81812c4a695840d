// How cost grows with size, from work that is counted, never from the clock.

/** One kind of work that is counted while a function runs. */
export interface Work {
  /** Bytes copied by `set`, `copyWithin` and `slice` of byte arrays, and by their copying constructor. */
  copiedBytes: number;
  /** Bytes of the buffers that byte arrays were made with. */
  allocatedBytes: number;
  /** Calls of all these, views not counted. */
  calls: number;
}

/** The sum that is fitted: bytes and calls weigh the same. */
export function totalWork(work: Work): number {
  return work.copiedBytes + work.allocatedBytes + work.calls;
}

/**
 * Runs a function while byte arrays report what they copy and allocate. Only what goes through
 * JavaScript is seen. Runs must not overlap; everything is put back at the end.
 */
export async function countWork(run: () => void | Promise<void>): Promise<Work> {
  const work: Work = { copiedBytes: 0, allocatedBytes: 0, calls: 0 };
  const native = globalThis.Uint8Array;
  const prototype = native.prototype;
  const { set, slice, copyWithin } = prototype;
  const counted = (bytes: number, kind: "copiedBytes" | "allocatedBytes") => {
    work[kind] += bytes;
    work.calls++;
  };
  prototype.set = function (source, offset) {
    counted(source.length, "copiedBytes");
    set.call(this, source, offset);
  };
  prototype.slice = function (start, end) {
    const made = slice.call(this, start, end);
    counted(made.length, "copiedBytes");
    counted(made.length, "allocatedBytes");
    return made;
  };
  prototype.copyWithin = function (target, start, end) {
    counted((end ?? this.length) - start, "copiedBytes");
    return copyWithin.call(this, target, start, end);
  };
  globalThis.Uint8Array = new Proxy(native, {
    construct(target, [first, ...rest], newTarget) {
      const made: object = Reflect.construct(target, [first, ...rest], newTarget);
      if (!(first instanceof ArrayBuffer || first instanceof SharedArrayBuffer)) {
        const { byteLength } = made as Uint8Array;
        if (byteLength > 0) counted(byteLength, "allocatedBytes");
        if (typeof first === "object") counted(byteLength, "copiedBytes");
      }
      return made;
    },
  });
  try {
    await run();
  } finally {
    globalThis.Uint8Array = native;
    // These are inherited; what was laid over them goes.
    for (const name of ["set", "slice", "copyWithin"]) Reflect.deleteProperty(prototype, name);
  }
  return work;
}

/**
 * The exponent `k` in `cost = c * n^k` that fits the measured costs best (least squares over their
 * logarithms): 1 is linear, 2 quadratic.
 */
export async function costExponent(
  measure: (n: number) => number | Promise<number>,
  sizes: readonly number[],
): Promise<number> {
  const points: [x: number, y: number][] = [];
  for (const n of sizes) points.push([Math.log(n), Math.log(await measure(n))]);
  const mean = (axis: 0 | 1) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  let above = 0;
  let below = 0;
  for (const [x, y] of points) {
    above += (x - meanX) * (y - meanY);
    below += (x - meanX) ** 2;
  }
  return above / below;
}
