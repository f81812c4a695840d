import { assert } from "chai";
import type { Link } from "../../lib/transports/link.ts";
import { LinkConnection } from "../../lib/transports/link_connection.ts";
import type { Suite } from "../harness.ts";
import { rejection } from "./conformance.ts";

const KiB = 1024;

/** A link that notes the pieces of each write and takes them when told. */
class NotingLink implements Link {
  readonly remote: string = "test:";
  readonly writes: number[][] = [];
  readonly #waiting: (() => void)[] = [];
  start(): void {}
  resume(): void {}
  release(): void {}
  async end(): Promise<void> {}
  write(pieces: readonly Uint8Array[]): Promise<void> {
    this.writes.push(pieces.map((piece) => piece.byteLength));
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
  take(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

function setUp(): { link: NotingLink; writer: WritableStreamDefaultWriter<Uint8Array> } {
  const link = new NotingLink();
  return { link, writer: new LinkConnection(link).writable.getWriter() };
}

/** Lets everything happen that does not wait for the link. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

export const writeCoalescerSuite: Suite = ({ test }) => {
  test("write coalescer: a header leaves in one write with the payload of the same turn", async () => {
    const { link, writer } = setUp();
    await writer.ready;
    writer.write(new Uint8Array(40));
    writer.write(new Uint8Array(2 * KiB));
    writer.write(new Uint8Array(64 * KiB));
    await settle();
    assert.deepEqual(link.writes, [[40 + 2 * KiB, 64 * KiB]]);
  });

  test("write coalescer: a small write alone leaves in its own turn and is kept at once", async () => {
    const { link, writer } = setUp();
    await writer.write(new Uint8Array(40));
    await settle();
    assert.deepEqual(link.writes, [[40]]);
    // The link is busy: what comes meanwhile is gathered, kept at once, and leaves as one.
    for (let round = 0; round < 10; round++) await writer.write(new Uint8Array(100));
    assert.deepEqual(link.writes, [[40]]);
    link.take();
    await settle();
    assert.deepEqual(link.writes, [[40], [1000]]);
  });

  test("write coalescer: a large write is kept only once the link has taken it", async () => {
    const { link, writer } = setUp();
    let kept = false;
    const writing = writer.write(new Uint8Array(64 * KiB)).then(() => {
      kept = true;
    });
    await settle();
    assert.isFalse(kept);
    link.take();
    await writing;
  });

  test("write coalescer: small writes wait once there is no room", async () => {
    const { link, writer } = setUp();
    let keptBytes = 0;
    for (let round = 0; round < 100; round++) {
      writer.write(new Uint8Array(KiB)).then(() => {
        keptBytes += KiB;
      });
    }
    await settle();
    assert.isAtMost(keptBytes, 32 * KiB, "two buffers of 16 KiB");
    while (keptBytes < 100 * KiB) {
      link.take();
      await settle();
    }
    link.take();
    await settle();
    assert.equal(
      link.writes.flat().reduce((sum, bytes) => sum + bytes, 0),
      100 * KiB,
    );
    assert.isAtMost(Math.max(...link.writes.flat()), 16 * KiB);
  });

  test("write coalescer: closing sends what is gathered first", async () => {
    const { link, writer } = setUp();
    writer.write(new Uint8Array(7));
    const closing = writer.close();
    await settle();
    assert.deepEqual(link.writes, [[7]]);
    link.take();
    await closing;
  });

  test("write coalescer: a small write that fails later errors the stream", async () => {
    const fault = new Error("gone");
    const link = new NotingLink();
    link.write = () => Promise.reject(fault);
    const connection = new LinkConnection(link);
    const writer = connection.writable.getWriter();
    await writer.write(new Uint8Array(1));
    assert.strictEqual(await rejection(writer.closed), fault);
    assert.strictEqual(await rejection(connection.closed), fault);
  });
};
