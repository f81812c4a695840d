import { assert } from "chai";
import fc from "fast-check";
import { HeadraceError, ProtocolError } from "../../lib/errors.ts";
import { LinkConnection } from "../../lib/transports/link_connection.ts";
import { MESSAGE_WINDOW_BYTES, MessageLink } from "../../lib/transports/message_link.ts";
import {
  type MessageEvents,
  type MessageSocket,
  MOST_MESSAGE_BYTES,
} from "../../lib/transports/message_socket.ts";
import type { Suite } from "../harness.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { rejection } from "./conformance.ts";

const MiB = 1024 * 1024;

/** A socket that the test is the other end of. */
class ScriptedSocket implements MessageSocket {
  readonly remote = "ws://other.end:1";
  readonly sent: (Uint8Array | string)[] = [];
  events!: MessageEvents;

  start(events: MessageEvents): void {
    this.events = events;
  }

  send(data: Uint8Array | string): undefined {
    this.sent.push(data);
  }

  close(): void {}
}

function connectionOver(socket: ScriptedSocket): LinkConnection {
  return new LinkConnection(new MessageLink(socket));
}

/** All that is left to be read, by the pieces in which it came. */
async function readAll({ readable }: LinkConnection): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  const reader = readable.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    pieces.push(next.value);
  }
  return pieces;
}

export const messageLinkSuite: Suite = ({ test }) => {
  test("message link: tiny messages that wait are held in few pieces", async () => {
    const socket = new ScriptedSocket();
    const connection = connectionOver(socket);
    const bytes = patterned(MiB);
    for (let at = 0; at < MiB; at++) socket.events.message(bytes.subarray(at, at + 1));
    socket.events.message("end");
    const pieces = await readAll(connection);
    assert.isAtMost(pieces.length, MiB / 4096);
    const heldBytes = new Set(pieces.map(({ buffer }) => buffer));
    assert.isAtMost(
      [...heldBytes].reduce((sum, { byteLength }) => sum + byteLength, 0),
      2 * MiB,
    );
    assert.isTrue(
      sameBytes(new Uint8Array(await new Blob(pieces as BlobPart[]).arrayBuffer()), bytes),
    );
  });

  test("message link: whatever the messages, their bytes come in order and stay as they are", async () => {
    const lengths = fc.array(
      fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 5000 })),
      {
        maxLength: 60,
      },
    );
    // After how many messages the reader takes one piece.
    const pauses = fc.array(fc.nat({ max: 8 }), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(lengths, pauses, async (some, rests) => {
        const socket = new ScriptedSocket();
        const connection = connectionOver(socket);
        const totalBytes = some.reduce((sum, length) => sum + length, 0);
        const bytes = patterned(totalBytes);
        const reader = connection.readable.getReader();
        const kept: Uint8Array[] = [];
        let at = 0;
        let rest = rests.shift();
        for (const length of some) {
          socket.events.message(bytes.slice(at, at + length));
          at += length;
          if (rest === undefined || rest-- > 0) continue;
          kept.push((await reader.read()).value as Uint8Array);
          rest = rests.shift();
        }
        socket.events.message("end");
        for (let next = await reader.read(); !next.done; next = await reader.read()) {
          kept.push(next.value);
        }
        const found = new Uint8Array(await new Blob(kept as BlobPart[]).arrayBuffer());
        assert.isTrue(sameBytes(found, bytes));
      }),
      { numRuns: 100 },
    );
  });

  test("message link: a writer goes on as far as the other end has taken, and no further", async () => {
    const socket = new ScriptedSocket();
    const connection = connectionOver(socket);
    const writer = connection.writable.getWriter();
    const writing = writer.write(new Uint8Array(MESSAGE_WINDOW_BYTES + 5 * MiB));
    const sentBytes = () =>
      socket.sent.reduce((sum, data) => sum + (data as Uint8Array).byteLength, 0);
    while (sentBytes() < MESSAGE_WINDOW_BYTES) await Promise.resolve();
    for (let turns = 0; turns < 100; turns++) await Promise.resolve();
    assert.equal(sentBytes(), MESSAGE_WINDOW_BYTES);
    assert.isTrue(socket.sent.every((data) => data.length <= MOST_MESSAGE_BYTES));
    socket.events.message(String(4 * MiB));
    while (sentBytes() < MESSAGE_WINDOW_BYTES + 4 * MiB) await Promise.resolve();
    for (let turns = 0; turns < 100; turns++) await Promise.resolve();
    assert.equal(sentBytes(), MESSAGE_WINDOW_BYTES + 4 * MiB);
    socket.events.message(String(8 * MiB));
    await writing;
    connection.close();
  });

  test("message link: what is written at once goes in one message, and memory may be used again", async () => {
    const socket = new ScriptedSocket();
    const writer = connectionOver(socket).writable.getWriter();
    const [front, data] = [Uint8Array.of(1, 2, 3), new Uint8Array(70_000).fill(4)];
    await Promise.all([writer.write(front), writer.write(data)]);
    assert.lengthOf(socket.sent, 1);
    const wanted = new Uint8Array(70_003).fill(4);
    wanted.set(front);
    assert.isTrue(sameBytes(socket.sent[0] as Uint8Array, wanted));
  });

  test("message link: the end is said by a message that is not empty, once", async () => {
    const socket = new ScriptedSocket();
    const connection = connectionOver(socket);
    const writer = connection.writable.getWriter();
    await writer.write(Uint8Array.of(1));
    await writer.close();
    assert.deepEqual(socket.sent, [Uint8Array.of(1), "end"]);
    socket.events.message("end");
    assert.lengthOf(await readAll(connection), 0);
    await connection.closed;
    for (const messages of [["end", "end"], ["end", Uint8Array.of(2)], [new Uint8Array()]]) {
      const other = new ScriptedSocket();
      const { closed } = connectionOver(other);
      for (const message of messages) other.events.message(message);
      assert.instanceOf(await rejection(closed), ProtocolError);
    }
  });

  test("message link: a close that is early is told by its code, and whether to try again", async () => {
    const cases: [number, string, boolean][] = [
      [1000, "transport", true],
      [1001, "transport", true],
      [1006, "transport", true],
      [1011, "transport", true],
      [4000, "transport", true],
      [1002, "protocol", false],
      [1003, "protocol", false],
      [1007, "protocol", false],
      [1008, "unauthorised", false],
      [1009, "limit", false],
    ];
    for (const [closeCode, code, retryable] of cases) {
      const socket = new ScriptedSocket();
      const connection = connectionOver(socket);
      socket.events.closed(closeCode, "because");
      const failure = (await rejection(connection.closed)) as HeadraceError;
      assert.instanceOf(failure, HeadraceError);
      assert.equal(failure.code, code);
      assert.equal(failure.retryable, retryable);
      assert.include(
        failure.message,
        `ws://other.end:1 was closed by the other end, code ${closeCode}: because`,
      );
    }
  });

  test("message link: a number of taken bytes that does not grow ends the connection", async () => {
    for (const again of ["100", "99"]) {
      const socket = new ScriptedSocket();
      const connection = connectionOver(socket);
      await connection.writable.getWriter().write(new Uint8Array(5000));
      socket.events.message("100");
      socket.events.message(again);
      const failure = await rejection(connection.closed);
      assert.instanceOf(failure, ProtocolError);
      assert.match((failure as Error).message, /took \d+ bytes, after it took 100/);
    }
  });
};
