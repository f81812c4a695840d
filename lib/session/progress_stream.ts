// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import type { TransferProgress } from "../tensor/progress.ts";

const INTERVAL_MS = 100;

/** What `snapshot` gives, while it changes and once more at the end; the newest for slow readers. */
export function progressStream(
  snapshot: () => TransferProgress,
  done: Promise<void>,
  clock: Clock,
  intervalMs: number = INTERVAL_MS,
): ReadableStream<TransferProgress> {
  let cancelTimer = (): void => {};
  let isOver = false;
  let last = "";
  return new ReadableStream<TransferProgress>(
    {
      start(controller) {
        const tell = (): void => {
          const progress = snapshot();
          const text = JSON.stringify(progress);
          // Without demand nothing is queued: who reads next gets what is true then.
          if (text === last || (controller.desiredSize ?? 0) <= 0) return;
          last = text;
          controller.enqueue(progress);
        };
        const tick = (): void => {
          if (isOver) return;
          tell();
          cancelTimer = clock.after(intervalMs, tick);
        };
        const end = (): void => {
          if (isOver) return;
          isOver = true;
          cancelTimer();
          controller.enqueue(snapshot());
          controller.close();
        };
        tick();
        done.then(end, end);
      },
      cancel() {
        isOver = true;
        cancelTimer();
      },
    },
    { highWaterMark: 1 },
  );
}
