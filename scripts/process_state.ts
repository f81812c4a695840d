// What this process holds: memory, sockets, timers.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const MiB = 1024 * 1024;
/** How long what was let go of may take to be gone. */
const LEAVE_MS = 1000;
const TURN_MS = 20;

/** Memory in use. */
export interface MemoryUse {
  /** Objects and buffers together. */
  readonly usedBytes: number;
  readonly text: string;
}

/** What is in use once all garbage is collected. */
export async function memoryUse(): Promise<MemoryUse> {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  for (let n = 0; n < 3; n++) {
    collectGarbage();
    // Finalizers run in turns of their own.
    await new Promise((resolve) => setTimeout(resolve, TURN_MS));
  }
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  const [heap, buffers, resident] = [heapUsed, arrayBuffers, rss].map((bytes) =>
    (bytes / MiB).toFixed(1),
  );
  return {
    usedBytes: heapUsed + arrayBuffers,
    text: `heap ${heap}, buffers ${buffers}, resident ${resident} MiB`,
  };
}

/** Sockets and timers that are there once they have had time to go; at once, if no more than `known`. */
export async function handlesLeft(known = 0): Promise<string[]> {
  const untilMs = performance.now() + LEAVE_MS;
  for (;;) {
    const handles = process
      .getActiveResourcesInfo()
      .filter((name) => /^(TCP|Timeout|Immediate)/.test(name));
    if (handles.length <= known || performance.now() > untilMs) return handles;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
