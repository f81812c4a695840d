import { assert } from "chai";
import { eventTurn } from "../../lib/event_turn.ts";
import { W3cSocket, type WebSocketLike } from "../../lib/transports/w3c_socket.ts";
import type { Suite } from "../harness.ts";

const KiB = 1024;

/** A socket that sends only in turns of the event loop of its own, as some runtimes' do. */
class LazySocket implements WebSocketLike {
  binaryType = "blob";
  readonly readyState = 1;
  bufferedAmount = 0;
  sentBytes = 0;
  mostBuffered = 0;

  send(data: Uint8Array | string): void {
    if (this.bufferedAmount === 0) void eventTurn().then(() => this.#flush());
    this.bufferedAmount += data.length;
    this.mostBuffered = Math.max(this.mostBuffered, this.bufferedAmount);
  }

  close(): void {}
  addEventListener(): void {}

  #flush(): void {
    this.sentBytes += this.bufferedAmount;
    this.bufferedAmount = 0;
  }
}

export const w3cSocketSuite: Suite = ({ test }) => {
  test("w3c socket: a runtime that sends between turns is given one before much has gathered", async () => {
    const lazy = new LazySocket();
    const socket = new W3cSocket(lazy, "peer");
    const message = new Uint8Array(64 * KiB);
    for (let n = 0; n < 64; n++) await socket.send(message);
    await eventTurn();
    await eventTurn();
    assert.equal(lazy.sentBytes, 4096 * KiB);
    assert.isAtMost(lazy.mostBuffered, 320 * KiB);
  });

  test("w3c socket: who writes waits while 4 MiB are buffered, and no longer", async () => {
    const stuck = new (class extends LazySocket {
      override send(data: Uint8Array): void {
        this.bufferedAmount += data.length;
      }
    })();
    const socket = new W3cSocket(stuck, "peer");
    await socket.send(new Uint8Array(4096 * KiB));
    let isWritten = false;
    const writing = (async () => {
      await socket.send(new Uint8Array(1));
      isWritten = true;
    })();
    for (let n = 0; n < 20; n++) await eventTurn();
    assert.isFalse(isWritten);
    stuck.bufferedAmount = 0;
    await writing;
  });
};
