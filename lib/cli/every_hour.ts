import type { Clock } from "../clock.ts";

const HOUR_MS = 60 * 60 * 1000;

/**
 * Does something now, and again an hour after each time that it was done.
 *
 * @param work Must not reject.
 * @returns Ends it, and waits for what is under way.
 */
export function everyHour(work: () => Promise<void>, clock: Clock): () => Promise<void> {
  let isOver = false;
  let cancel = () => {};
  let running = Promise.resolve();
  const run = () => {
    running = work().then(() => {
      if (!isOver) cancel = clock.after(HOUR_MS, run);
    });
  };
  run();
  return () => {
    isOver = true;
    cancel();
    return running;
  };
}
