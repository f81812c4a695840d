// This module runs in every runtime.
import type { Connection } from "../../connection.ts";
import { within } from "./check.ts";

/** Two ends of one connection. */
export type ConnectionPair = [near: Connection, far: Connection];

/** A transport, as its cases need it. */
export interface TransportSubject {
  /** Makes a connection, and gives both of its ends. */
  readonly openPair: () => Promise<ConnectionPair>;
  /** Whether the other end can tell a reset from an end-of-stream; default `true`. */
  readonly canReset?: boolean;
  /** How many connections may be made at once, where the runtime has a limit; default 100. */
  readonly mostAtOnce?: number;
  /** How many connections the runtime has open, where it can tell: none may be left over. */
  readonly openCount?: () => number;
  /** How long a case may take before it is taken for one that never ends, in ms; default two minutes. */
  readonly timeoutMs?: number;
}

/** One thing that a transport must honour, for any test runner. */
export interface TransportCase {
  readonly name: string;
  /** Rejects with what was found that must not be. */
  readonly run: () => Promise<void>;
}

/** A case with a connection of its own, which is let go of afterwards. */
export function pairCase(
  { openPair, timeoutMs }: TransportSubject,
  name: string,
  body: (pair: ConnectionPair) => Promise<void>,
): TransportCase {
  return {
    name,
    run: async () => {
      const open: Connection[] = [];
      try {
        await within(async () => {
          const pair = await openPair();
          open.push(...pair);
          await body(pair);
        }, timeoutMs);
      } finally {
        for (const end of open) end.close();
      }
    },
  };
}
