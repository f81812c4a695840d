// This module runs in every runtime.
import { type Clock, sleep } from "../clock.ts";
import type { StatusFeed } from "./status_feed.ts";

/** What an {@linkcode eventStream} is made with. */
export interface EventStreamOptions {
  readonly feed: StatusFeed;
  readonly clock: Clock;
  /** The least time between two events. */
  readonly intervalMs: number;
  /** Called once, when nobody listens any more. */
  readonly onEnd: () => void;
}

/**
 * Server-sent events of what changes, each made at the moment when its reader has room for it: who
 * reads slowly is told less often, who does not read costs nothing.
 */
export function eventStream(options: EventStreamOptions): ReadableStream<Uint8Array> {
  const { feed, clock, intervalMs, onEnd } = options;
  const stop = new AbortController();
  let heard = 0;
  let toldAtMs = Number.NEGATIVE_INFINITY;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const waitMs = toldAtMs + intervalMs - clock.now();
        if (waitMs > 0) await sleep(clock, waitMs, stop.signal).catch(() => {});
        if (stop.signal.aborted) return;
        const { round, event } = feed.since(heard);
        toldAtMs = clock.now();
        heard = round;
        controller.enqueue(event);
      },
      cancel() {
        stop.abort();
        onEnd();
      },
    },
    // Nothing is made ahead of its reader.
    { highWaterMark: 0 },
  );
}
