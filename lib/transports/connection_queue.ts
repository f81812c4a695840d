// This module runs in every runtime.
import type { Connection } from "../connection.ts";

/** Connections that were accepted, until somebody takes them; few, and let go of at the end. */
export class ConnectionQueue {
  readonly connections: ReadableStream<Connection>;
  readonly #most: number;
  readonly #waiting: Connection[] = [];
  #controller!: ReadableStreamDefaultController<Connection>;
  #isWanted = false;
  #isClosed = false;

  /**
   * @param most How many may wait.
   * @param onCancel Called when nobody wants any more.
   */
  constructor(most: number, onCancel: () => Promise<void> | void) {
    this.#most = most;
    this.connections = new ReadableStream<Connection>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => {
          this.#isWanted = true;
          this.#deliver();
        },
        cancel: onCancel,
      },
      { highWaterMark: 0 },
    );
  }

  /** Whether one more may wait. */
  get hasRoom(): boolean {
    return !this.#isClosed && this.#waiting.length < this.#most;
  }

  /** Adds one, or lets go of it where there is no room. */
  add(connection: Connection): void {
    if (this.hasRoom) this.#waiting.push(connection);
    else connection.close();
    this.#deliver();
  }

  /** No more come; those that wait are let go of. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const connection of this.#waiting.splice(0)) connection.close();
    try {
      this.#controller.close();
    } catch {
      // Cancelled: closed already.
    }
  }

  #deliver(): void {
    const next = this.#isWanted ? this.#waiting.shift() : undefined;
    if (!next) return;
    this.#isWanted = false;
    this.#controller.enqueue(next);
  }
}
