// This module runs in every runtime.

/** Options of an {@linkcode OrderedMapStream}. */
export interface OrderedMapOptions<O> {
  /** How many results may be under way at once; default 1. */
  readonly concurrency?: number;
  /** The last results, once the input has ended. */
  readonly finish?: () => readonly (O | Promise<O>)[];
}

interface Slot<O> {
  result: O | undefined;
  isReady: boolean;
}

/**
 * Applies a function that may be asynchronous to several items at once, and keeps their order.
 *
 * `map` gives the results of one item, each at once or as a promise. What is there at once is
 * passed on in the same turn when nothing is before it. At most `concurrency` results are under way
 * or wait behind one that is (one item's own results are not divided), and the next item is taken
 * only when there is room, so the readable's demand reaches the writer. The first failure errors
 * both sides; what is then still under way is let go, and its failures with it.
 */
export class OrderedMapStream<I, O> extends TransformStream<I, O> {
  constructor(map: (item: I) => readonly (O | Promise<O>)[], options: OrderedMapOptions<O> = {}) {
    const { concurrency = 1, finish = () => [] } = options;
    if (!Number.isInteger(concurrency) || concurrency < 1) {
      throw new RangeError(`concurrency must be a whole number from 1, found ${concurrency}`);
    }
    const slots: Slot<O>[] = [];
    let hasEnded = false;
    let onRoom: (() => void) | undefined;

    const end = () => {
      hasEnded = true;
      slots.length = 0;
      onRoom?.();
    };
    const fail = (reason: unknown, controller: TransformStreamDefaultController<O>) => {
      if (hasEnded) return;
      end();
      controller.error(reason);
    };
    const release = (controller: TransformStreamDefaultController<O>) => {
      while (slots[0]?.isReady) {
        const result = (slots.shift() as Slot<O>).result as O;
        try {
          controller.enqueue(result);
        } catch {
          // The reader has gone; the stream is over for the writer too.
          return end();
        }
      }
      onRoom?.();
    };
    const add = (result: O | Promise<O>, controller: TransformStreamDefaultController<O>) => {
      if (!(result instanceof Promise)) {
        if (slots.length === 0) controller.enqueue(result);
        else slots.push({ result, isReady: true });
        return;
      }
      const slot: Slot<O> = { result: undefined, isReady: false };
      slots.push(slot);
      result.then(
        (value) => {
          if (hasEnded) return;
          slot.result = value;
          slot.isReady = true;
          release(controller);
        },
        (reason) => fail(reason, controller),
      );
    };
    /** Waits until fewer than `count` results are under way. */
    const room = async (count: number) => {
      while (slots.length >= count) {
        await new Promise<void>((resolve) => {
          onRoom = resolve;
        });
      }
      onRoom = undefined;
    };

    super({
      transform(item, controller) {
        for (const result of map(item)) add(result, controller);
        return slots.length < concurrency ? undefined : room(concurrency);
      },
      flush(controller) {
        for (const result of finish()) add(result, controller);
        return slots.length === 0 ? undefined : room(1);
      },
    });
  }
}
