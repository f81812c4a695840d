// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import type { Connect, Connection, Listener } from "../connection.ts";
import { TransportError } from "../errors.ts";
import type { FaultPlan } from "./fault.ts";
import { faultyConnect } from "./faulty_connect.ts";
import type { WayReport } from "./faulty_way.ts";

/** What a {@linkcode FaultProxy} stands between, and what happens there. */
export interface FaultProxyOptions {
  /** Where the dialling peer comes in; the proxy closes it when it is closed itself. */
  readonly listener: Listener;
  /** Dials the accepting peer. */
  readonly connect: Connect;
  /** Default: nothing goes wrong. */
  readonly plan?: FaultPlan;
  /** Measures stalls, rates and delays; default: the runtime's own. */
  readonly clock?: Clock;
}

/** What has become of one connection through a proxy. */
export interface RelayReport {
  readonly up: WayReport;
  readonly down: WayReport;
}

/**
 * A proxy between two peers that lets a plan of faults happen. It holds one buffer of each way,
 * and what is throttled or delayed there; everything else is the sender's to wait with.
 *
 * @example
 * ```ts
 * import { connect, listen } from "headrace/tcp";
 * import { createFaultProxy, planFaults } from "headrace/testing";
 *
 * const server = await listen("tcp://127.0.0.1:0");
 * const proxy = createFaultProxy({
 *   listener: await listen("tcp://127.0.0.1:0"),
 *   connect: (signal) => connect(server.url, { signal }),
 *   plan: planFaults(7, { kinds: ["cut", "stall"] }),
 * });
 * console.log(proxy.url); // what to dial instead of server.url
 *
 * await proxy.close();
 * await server.close();
 * ```
 */
export function createFaultProxy(options: FaultProxyOptions): FaultProxy {
  return new FaultProxy(options);
}

/** Made by {@linkcode createFaultProxy}. */
export class FaultProxy implements AsyncDisposable {
  readonly #listener: Listener;
  readonly #dial: Connect;
  readonly #closing = new AbortController();
  readonly #reports: RelayReport[] = [];
  readonly #open = new Set<Connection>();
  readonly #relays = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;

  constructor({ listener, connect, plan = { connections: [] }, clock }: FaultProxyOptions) {
    this.#listener = listener;
    this.#dial = faultyConnect(connect, plan, {
      ...(clock && { clock }),
      onConnection: ({ sent: up, received: down }) => this.#reports.push({ up, down }),
    });
    this.#accepting = this.#accept();
    this.#accepting.catch(() => {});
  }

  /** What to dial instead of the accepting peer. */
  get url(): string {
    return this.#listener.url;
  }

  /** One for each connection so far, in the order in which the accepting peer was dialled. */
  get reports(): readonly RelayReport[] {
    return this.#reports;
  }

  /** Connections through it at this moment. */
  get openConnections(): number {
    return this.#relays.size;
  }

  /** Resets every connection through it; new ones are welcome. */
  cut(reason: unknown = new TransportError("The fault proxy cut the connection")): void {
    for (const connection of this.#open) connection.close(reason);
  }

  /** Takes no more connections, resets those there are, and waits until nothing is left of them. */
  async close(): Promise<void> {
    const reason = new TransportError("The fault proxy was closed");
    this.#closing.abort(reason);
    await this.#listener.close();
    this.cut(reason);
    await Promise.allSettled([this.#accepting, ...this.#relays]);
  }

  /** Closes it at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #accept(): Promise<void> {
    const reader = this.#listener.connections.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      const relay: Promise<void> = this.#relay(next.value).finally(() => {
        this.#relays.delete(relay);
      });
      this.#relays.add(relay);
    }
  }

  async #relay(near: Connection): Promise<void> {
    this.#open.add(near);
    try {
      const far = await this.#dial(this.#closing.signal);
      this.#open.add(far);
      // Dialled while all were being closed.
      if (this.#closing.signal.aborted) far.close(this.#closing.signal.reason);
      await join(near, far);
      this.#open.delete(far);
    } catch (error) {
      near.close(error);
    } finally {
      this.#open.delete(near);
    }
  }
}

/** Carries bytes both ways until both connections are over; a fault of one is one of the other. */
async function join(near: Connection, far: Connection): Promise<void> {
  // One that is truncated ends in order, which its streams do not tell from a fault.
  let isOrderly = false;
  const orderly = () => {
    isOrderly = true;
  };
  far.closed.then(orderly, () => {});
  const fail = (error: unknown) => {
    const reason = isOrderly ? undefined : error;
    near.close(reason);
    far.close(reason);
  };
  Promise.all([carry(near, far), carry(far, near)]).catch(fail);
  await Promise.allSettled([near.closed, far.closed].map((closed) => closed.catch(fail)));
}

/** One buffer at a time: what was read is taken by the other side before more is read. */
async function carry(from: Connection, to: Connection): Promise<void> {
  const reader = from.readable.getReader();
  const writer = to.writable.getWriter();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    await writer.write(next.value);
  }
  await writer.close();
}
