// This module runs in every runtime.
import { systemClock } from "../clock.ts";
import type { Connection } from "../connection.ts";
import { abortable, deferred } from "../deferred.ts";
import { TransportError } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";

/** How long a dial is waited for. */
export interface DialPatience {
  readonly signal?: AbortSignal | undefined;
  readonly connectTimeoutMs?: number;
}

/**
 * Waits for a dial that its transport cannot end by itself. One that comes after it was given up is let go of.
 *
 * @param giveUp Ends what is under way.
 * @throws {TransportError} when it takes longer than `connectTimeoutMs`, or `signal.reason`.
 */
export async function dialWithin(
  href: string,
  dialling: Promise<Connection>,
  { signal, connectTimeoutMs = DEFAULT_LIMITS.connectTimeoutMs }: DialPatience,
  giveUp: () => void,
): Promise<Connection> {
  const late = deferred<never>();
  const cancel = systemClock.after(connectTimeoutMs, () =>
    late.reject(new TransportError(`${href} did not answer within ${connectTimeoutMs} ms`)),
  );
  try {
    return await abortable(Promise.race([dialling, late.promise]), signal);
  } catch (error) {
    giveUp();
    dialling.then((opened) => opened.close()).catch(() => {});
    throw error;
  } finally {
    cancel();
  }
}
