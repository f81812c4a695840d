// Says how transfers ended, and keeps what must not be.
import { HeadraceError, RetryExhaustedError } from "../../../lib/errors.ts";
import { firstDifference } from "./content.ts";

/** A transfer that has not ended by then hangs. */
const DEADLINE_MS = 60_000;

/** Where the bytes of a transfer come from once it is complete: they, or why there are none. */
export type Found = Promise<Uint8Array | string>;

/** Judges the transfers of one run. */
export class Judge {
  /** What must not be; empty when all is well. */
  readonly problems: string[] = [];
  /** Of tensors that arrived. */
  movedBytes = 0;

  /** Waits for a transfer's end and tells how it was. */
  async outcome(
    what: string,
    found: Found,
    content: Uint8Array,
    reason?: unknown,
  ): Promise<string> {
    try {
      const bytes = await found;
      const at = typeof bytes === "string" ? bytes : firstDifference(bytes, content);
      if (at !== -1) this.problems.push(`${what}: complete, but differs: ${at}`);
      this.movedBytes += content.byteLength;
      return "complete";
    } catch (error) {
      if (reason !== undefined && error === reason) return "cancelled";
      if (error instanceof HeadraceError) return nameOf(error);
      const stack = error instanceof Error ? error.stack : String(error);
      this.problems.push(`${what}: ended in an untyped error: ${stack}`);
      return "untyped";
    }
  }

  /** Does not wait for ever. */
  async inTime(what: string, work: () => Promise<string>): Promise<string> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => {
        this.problems.push(`${what} hangs`);
        resolve("hangs");
      }, DEADLINE_MS);
    });
    try {
      return await Promise.race([work(), late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** An error's code; what is neither the link's fault nor the end of patience says what it is. */
export function nameOf(error: unknown): string {
  if (error instanceof RetryExhaustedError) return `retry_exhausted by ${nameOf(error.cause)}`;
  if (!(error instanceof HeadraceError)) return `untyped (${error})`;
  if (error.code === "transport") return error.code;
  // What varies from run to run is left out, so that the same can be counted.
  const what = error.message.replace(/ it began with .*/, "").replaceAll(/\d+/g, "N");
  return `${error.code} (${what})`;
}
