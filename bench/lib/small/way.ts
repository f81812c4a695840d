import { createHash } from "node:crypto";
import { type Part, Stopwatch, say } from "../two_processes.ts";
import { ITEM_BYTES } from "./items.ts";

/** How often everything is asked for before it counts. */
export const WARM_UPS = 5;

/** Takes one tensor, whole and verified. */
export type TakeItem = (index: number, bytes: Uint8Array) => void;

/** One way to move many small tensors. */
export interface SmallWay {
  /** Whether the receiver may ask for everything again. */
  readonly canRepeat: boolean;
  /** Serves until the receiver leaves. */
  serve(part: Part, count: number): Promise<void>;
  /** Joins the server; the returned function gets them all, and `leave` ends it. */
  join(part: Part): Promise<{
    getAll(count: number, take: TakeItem): Promise<void>;
    leave(): Promise<void>;
  }>;
}

/** Plays one end of a way, and says what it took. */
export async function playSmall(part: Part, way: SmallWay): Promise<void> {
  const count = part.bytes / ITEM_BYTES;
  if (part.role === "send") {
    const stopwatch = new Stopwatch();
    await way.serve(part, count);
    say(JSON.stringify(stopwatch.report(part.bytes)));
    return;
  }
  const { getAll, leave } = await way.join(part);
  const kept = new Uint8Array(part.digest ? part.bytes : 0);
  const isThere = new Uint8Array(count);
  // Before it counts, where it can be asked twice: the way is measured, not its compilation.
  for (let n = 0; n < WARM_UPS && way.canRepeat; n++) await getAll(count, () => {});
  const stopwatch = new Stopwatch();
  await getAll(count, (index, bytes) => {
    isThere[index] = 1;
    if (part.digest) kept.set(bytes, index * ITEM_BYTES);
  });
  const items = isThere.reduce((sum, one) => sum + one, 0);
  const report = stopwatch.report(items * ITEM_BYTES);
  await leave();
  const digest = part.digest && createHash("sha256").update(kept).digest("hex");
  say(JSON.stringify({ ...report, ...(digest && { digest }) }));
}
