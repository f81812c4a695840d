/**
 * Dials over several transports at once and keeps the first that connects.
 *
 * @module headrace/fallback
 */
// This module runs in every runtime.
import { type Clock, systemClock } from "../clock.ts";
import type { Connect, Connection } from "../connection.ts";
import { abortable, deferred } from "../deferred.ts";
import { TransportError } from "../errors.ts";

/** How to race. */
export interface FirstConnectedOptions {
  /** How long a way is given before the next one is tried beside it; default 300. */
  readonly headStartMs?: number;
  readonly clock?: Clock;
}

const DEFAULT_HEAD_START_MS = 300;

/**
 * Dials the same peer in several ways, the best first: the next one begins when one has failed, or
 * when it has not answered within its head start. The first connection is taken, the others are
 * given up. Who won goes first from then on, with the same head start, so that a network that lets
 * only one of them through is found out once.
 *
 * @param ways How to dial, best first; at least one.
 * @returns a function for `TensorPeer`. It rejects with `signal.reason`, or when every way
 *   has failed: with the one way's own error, or a `TransportError` that tells all.
 * @throws {RangeError} when there are no ways.
 *
 * @example
 * ```ts
 * import { TensorPeer } from "headrace";
 * import { firstConnected } from "headrace/fallback";
 * import { connect as connectWebSocket } from "headrace/websocket";
 * import { connect as connectWebTransport } from "headrace/webtransport";
 *
 * export const dial = (host: string) =>
 *   new TensorPeer(
 *     firstConnected([
 *       (signal) => connectWebTransport(`https://${host}`, { signal }),
 *       (signal) => connectWebSocket(`wss://${host}`, { signal }),
 *     ]),
 *   );
 * ```
 */
export function firstConnected(
  ways: readonly Connect[],
  options: FirstConnectedOptions = {},
): Connect {
  if (ways.length === 0) throw new RangeError("firstConnected needs at least one way to connect");
  let inOrder = [...ways];
  return async (signal) => {
    signal?.throwIfAborted();
    const race = new Race(inOrder, options);
    try {
      const { way, connection } = await abortable(race.winner, signal);
      inOrder = [way, ...inOrder.filter((other) => other !== way)];
      return connection;
    } finally {
      race.end();
    }
  };
}

interface Winner {
  readonly way: Connect;
  readonly connection: Connection;
}

/** One dial in all ways. */
class Race {
  readonly #ways: readonly Connect[];
  readonly #clock: Clock;
  readonly #headStartMs: number;
  readonly #decided = deferred<Winner>();
  readonly #losers = new AbortController();
  readonly #errors: unknown[] = [];
  #begun = 0;
  #isOver = false;
  #cancelTimer: (() => void) | undefined;

  constructor(ways: readonly Connect[], options: FirstConnectedOptions) {
    const { headStartMs = DEFAULT_HEAD_START_MS, clock = systemClock } = options;
    this.#ways = ways;
    this.#headStartMs = headStartMs;
    this.#clock = clock;
    this.#beginNext();
  }

  get winner(): Promise<Winner> {
    return this.#decided.promise;
  }

  /** Gives up what is still under way. */
  end(): void {
    this.#isOver = true;
    this.#cancelTimer?.();
    this.#losers.abort(new TransportError("Another way to connect was faster"));
  }

  #beginNext(): void {
    this.#cancelTimer?.();
    const way = this.#ways[this.#begun];
    if (this.#isOver || !way) return;
    this.#begun++;
    this.#cancelTimer = this.#clock.after(this.#headStartMs, () => this.#beginNext());
    // One that throws at once has failed like any other.
    const dialling = new Promise<Connection>((resolve) => resolve(way(this.#losers.signal)));
    dialling.then(
      (connection) => {
        if (this.#isOver) connection.close();
        this.#isOver = true;
        this.#decided.resolve({ way, connection });
      },
      (error) => this.#failed(error),
    );
  }

  #failed(error: unknown): void {
    this.#errors.push(error);
    if (this.#errors.length < this.#ways.length) this.#beginNext();
    else this.#decided.reject(this.#errors.length === 1 ? error : summary(this.#errors));
  }
}

/** One that another dial would not mend tells more than those that it might. */
function summary(errors: readonly unknown[]): unknown {
  const isFinal = (error: unknown) => (error as { retryable?: boolean }).retryable === false;
  const final = errors.find(isFinal);
  if (final !== undefined) return final;
  const whys = errors.map((error) => (error instanceof Error ? error.message : String(error)));
  const cause = new AggregateError(errors);
  return new TransportError(`No way to connect was left: ${whys.join("; ")}`, { cause });
}
