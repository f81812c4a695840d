// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import type { Connection } from "../connection.ts";
import { EventLog, errorFields } from "../log.ts";
import type { FrameLink } from "../streams/frame_link.ts";
import { formatAddress } from "../tensor/address.ts";
import { toHex } from "../tensor/bytes.ts";
import type { Hello } from "../wire/messages.ts";
import type { TransferIdentity } from "./small_receiving.ts";
import type { Transfer } from "./transfer.ts";

const log = new EventLog("session");

const elapsed = (clock: Clock, sinceMs: number) => Math.round(clock.now() - sinceMs);

/** A connection, from its greeting to its end. */
export function logConnection(
  { remote }: Connection,
  link: FrameLink,
  hello: Hello,
  clock: Clock,
): void {
  if (!log.isOn) return;
  const beganMs = clock.now();
  const { node, role } = hello;
  log.event("connection up", () => ({ remote, node, role }));
  const down = (error?: unknown) =>
    log.event("connection down", () => ({
      remote,
      node,
      sentBytes: link.sentBytes,
      receivedBytes: link.receivedBytes,
      durationMs: elapsed(clock, beganMs),
      ...errorFields(error),
    }));
  link.closed.then(() => down(), down);
}

/** A connection that came to nothing. */
export function logRefused({ remote }: Connection, error: unknown): void {
  log.event("connection refused", () => ({ remote, ...errorFields(error) }));
}

/** The other end is dialled again, after this pause. */
export function logRedial(attempt: number, delayMs: number, error: unknown): void {
  log.event("dial again", () => ({ attempt, delayMs: Math.round(delayMs), ...errorFields(error) }));
}

/** A transfer, from its beginning to its end. */
export function logTransfer(transfer: Transfer, clock: Clock): void {
  if (!log.isOn) return;
  const beganMs = clock.now();
  const named = () => ({ id: transfer.id, address: formatAddress(transfer.address) });
  log.event("transfer begun", () => {
    const { direction, priority } = transfer;
    return { ...named(), direction, priority };
  });
  const over = (error?: unknown) =>
    log.event(`transfer ${transfer.status}`, () => {
      const { bytes, wireBytes, chunks, resumedBytes, retries } = transfer.progress;
      const { verified, direction } = transfer;
      const counts = { bytes, wireBytes, chunks, resumedBytes, retries, verified };
      const durationMs = elapsed(clock, beganMs);
      return { ...named(), direction, ...counts, durationMs, ...errorFields(error) };
    });
  transfer.done.then(() => over(), over);
}

/** Another attempt at a transfer is made. */
export function logRetry(transfer: Transfer, attempt: number, error: unknown): void {
  log.event("transfer retried", () => ({
    id: transfer.id,
    address: formatAddress(transfer.address),
    attempt,
    ...errorFields(error),
  }));
}

/** What happens to leaves of an attempt: `transfer resumed`, `leaves fetched again`, `tensor mended`. */
export function logLeaves(
  what: string,
  { id, epoch, address }: TransferIdentity,
  which: {
    readonly leaves: number;
    readonly firstLeaf?: number | undefined;
    readonly why?: string | undefined;
  },
): void {
  log.event(what, () => ({
    id: toHex(id),
    address: formatAddress(address),
    attempt: epoch,
    ...which,
  }));
}
