/**
 * Two ends of a connection within one process, for tests and examples.
 *
 * @module headrace/memory
 */
// This module runs in every runtime.

import type { Connection } from "../connection.ts";
import { TransportError } from "../errors.ts";
import type { Link, LinkEvents } from "./link.ts";
import { LinkConnection } from "./link_connection.ts";

/** About what a kernel holds of a TCP connection before its window closes. */
const DEFAULT_BUFFER_BYTES = 256 * 1024;

/**
 * Two connections joined in memory, for tests and for peers that share a process. Bytes are copied
 * through a bounded buffer each way, as a kernel does, so that backpressure, half-close and reset
 * behave like a socket's.
 *
 * @param options.bufferBytes what each way holds that nobody has read. Default 256 KiB.
 *
 * @example
 * ```ts
 * import { connectionPair } from "headrace/memory";
 *
 * const [near, far] = connectionPair();
 * const writer = near.writable.getWriter();
 * writer.write(new TextEncoder().encode("hello"));
 * writer.close();
 * console.log(await new Response(far.readable).text());
 * ```
 */
export function connectionPair(
  options: { bufferBytes?: number } = {},
): [near: Connection, far: Connection] {
  const { bufferBytes = DEFAULT_BUFFER_BYTES } = options;
  const there = new Pipe(bufferBytes);
  const back = new Pipe(bufferBytes);
  return [
    new LinkConnection(new MemoryLink("memory:far", back, there)),
    new LinkConnection(new MemoryLink("memory:near", there, back)),
  ];
}

/** One way: a ring of bytes with a writer and a reader that wait for each other. */
class Pipe {
  readonly #ring: Uint8Array<ArrayBuffer>;
  #start = 0;
  #heldBytes = 0;
  /** How the way ended, for the reader once it has everything, or at once for a fault. */
  ended = false;
  fault: TransportError | undefined;
  /** The reader's: something changed. */
  onChange: () => void = () => {};
  #onRoom: (() => void) | undefined;

  constructor(bufferBytes: number) {
    this.#ring = new Uint8Array(bufferBytes);
  }

  async write(pieces: readonly Uint8Array[]): Promise<void> {
    for (const piece of pieces) {
      let rest = piece;
      while (rest.byteLength > 0) {
        if (this.fault !== undefined) throw this.fault;
        rest = rest.subarray(this.#put(rest));
        if (rest.byteLength > 0) {
          await new Promise<void>((resolve) => {
            this.#onRoom = resolve;
          });
        }
      }
    }
    if (this.fault !== undefined) throw this.fault;
  }

  /** The next bytes in one piece, still held until they are `drop`ped. */
  peek(): Uint8Array<ArrayBuffer> {
    const end = Math.min(this.#start + this.#heldBytes, this.#ring.byteLength);
    return this.#ring.subarray(this.#start, end);
  }

  drop(byteLength: number): void {
    this.#start = (this.#start + byteLength) % this.#ring.byteLength;
    this.#heldBytes -= byteLength;
    this.#onRoom?.();
  }

  end(): void {
    this.ended = true;
    this.onChange();
  }

  cut(fault: TransportError): void {
    this.fault ??= fault;
    this.#onRoom?.();
    this.onChange();
  }

  #put(bytes: Uint8Array): number {
    const ring = this.#ring;
    const at = (this.#start + this.#heldBytes) % ring.byteLength;
    const room = Math.min(ring.byteLength - this.#heldBytes, ring.byteLength - at);
    const put = Math.min(room, bytes.byteLength);
    ring.set(bytes.subarray(0, put), at);
    this.#heldBytes += put;
    if (put > 0) this.onChange();
    return put;
  }
}

class MemoryLink implements Link {
  readonly remote: string;
  readonly #incoming: Pipe;
  readonly #outgoing: Pipe;
  #events: LinkEvents | undefined;
  #wanted = false;
  #lend = false;
  #lentBytes = 0;
  #deliveryDue = false;

  constructor(remote: string, incoming: Pipe, outgoing: Pipe) {
    this.remote = remote;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    incoming.onChange = () => this.#deliverSoon();
  }

  start(events: LinkEvents): void {
    this.#events = events;
  }

  resume(lend: boolean): void {
    this.#wanted = true;
    this.#lend = lend;
    this.#deliverSoon();
  }

  write(pieces: readonly Uint8Array[]): Promise<void> {
    return this.#outgoing.write(pieces);
  }

  async end(): Promise<void> {
    this.#outgoing.end();
  }

  release(reset: boolean): void {
    this.#events = undefined;
    const fault = () => new TransportError("The peer closed the connection.");
    this.#incoming.cut(fault());
    if (reset) this.#outgoing.cut(fault());
    else this.#outgoing.end();
  }

  /** Never inside the writer's own call, as no kernel would. */
  #deliverSoon(): void {
    if (this.#deliveryDue) return;
    this.#deliveryDue = true;
    queueMicrotask(() => {
      this.#deliveryDue = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    const pipe = this.#incoming;
    if (pipe.fault !== undefined) this.#events?.fail(pipe.fault);
    if (!this.#wanted) return;
    pipe.drop(this.#lentBytes);
    this.#lentBytes = 0;
    for (;;) {
      const view = pipe.peek();
      if (view.byteLength === 0) break;
      this.#wanted = false;
      // What is lent stays in the ring until the reader comes back for more.
      if (this.#lend) this.#lentBytes = view.byteLength;
      const bytes = this.#lend ? view : view.slice();
      if (!this.#lend) pipe.drop(view.byteLength);
      if (!(this.#events?.bytes(bytes) ?? false)) return;
      this.#wanted = true;
      pipe.drop(this.#lentBytes);
      this.#lentBytes = 0;
    }
    if (pipe.ended) {
      this.#wanted = false;
      this.#events?.end();
    }
  }
}
