import { assert } from "chai";
import type { Connection } from "../../lib/connection.ts";
import { TransportError } from "../../lib/errors.ts";
import type { Harness } from "../harness.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

/** More than any two socket buffers hold, less than the test sends. */
const MOST_UNDER_WAY = 48 * MiB;

/** Two ends of one connection. */
export type Pair = [near: Connection, far: Connection];

/** What a transport can say, beyond what every one must. */
export interface TransportTraits {
  /** Whether the other end can tell a reset from an end-of-stream. */
  readonly reset: boolean;
}

/** What every transport must do: the same tests for each, given a way to make a connected pair. */
export function transportConformance(
  { test }: Harness,
  name: string,
  openPair: () => Promise<Pair>,
  traits: TransportTraits,
): void {
  const withPair = (what: string, body: (pair: Pair) => Promise<void>) =>
    test(`${name}: ${what}`, async () => {
      const pair = await openPair();
      try {
        await body(pair);
      } finally {
        for (const end of pair) end.close();
      }
    });

  withPair("keeps order and content both ways at once, whatever the slicing", async (pair) => {
    const sizes = [1, 0, 4095, 4096, 4097, 70_000, 3, 17 * KiB, MiB + 1, 2, 12, 300 * KiB, 1];
    const totalBytes = sizes.reduce((sum, size) => sum + size, 0);
    await Promise.all(
      pair.flatMap((end) => [send(end, sizes), expectPattern(end, totalBytes, "readable")]),
    );
    await Promise.all(pair.map((end) => end.closed));
  });

  withPair("receive hands over the same bytes and ends when they end", async ([near, far]) => {
    const sizes = [5, MiB, 100, 5000, 3 * MiB, 7];
    const totalBytes = sizes.reduce((sum, size) => sum + size, 0);
    await Promise.all([send(near, sizes), expectPattern(far, totalBytes, "receive")]);
  });

  withPair("ten thousand tiny writes arrive whole", async ([near, far]) => {
    const sizes = Array.from({ length: 10_000 }, (_, index) => (index % 29) + 1);
    const totalBytes = sizes.reduce((sum, size) => sum + size, 0);
    await Promise.all([send(near, sizes), expectPattern(far, totalBytes, "readable")]);
  });

  withPair("a buffer may be overwritten once its write is kept", async ([near, far]) => {
    const reading = expectPattern(far, 24 * MiB + 12 * 40, "readable");
    const writer = near.writable.getWriter();
    const large = new Uint8Array(2 * MiB);
    const small = new Uint8Array(40);
    let offset = 0;
    for (let round = 0; round < 12; round++) {
      fillPattern(small, offset);
      await writer.write(small);
      small.fill(0xee);
      offset += small.byteLength;
      fillPattern(large, offset);
      await writer.write(large);
      large.fill(0xee);
      offset += large.byteLength;
    }
    await writer.close();
    await reading;
  });

  for (const way of ["readable", "receive"] as const) {
    withPair(`a reader that stops stops the writer (${way})`, async ([near, far]) => {
      const chunk = new Uint8Array(256 * KiB);
      const totalBytes = 96 * MiB;
      let acceptedBytes = 0;
      const writing = (async () => {
        const writer = near.writable.getWriter();
        while (acceptedBytes < totalBytes) {
          await writer.write(chunk);
          acceptedBytes += chunk.byteLength;
        }
        await writer.close();
      })();
      let receivedBytes = 0;
      let letGo = () => {};
      const gate = new Promise<void>((resolve) => {
        letGo = resolve;
      });
      const reading = readAll(far, way, (view) => {
        receivedBytes += view.byteLength;
        return gate;
      });
      await quiet(() => acceptedBytes);
      assert.isAbove(receivedBytes, 0);
      assert.isAtMost(receivedBytes, MiB, "one buffer, while its reader is busy");
      assert.isAtMost(acceptedBytes, MOST_UNDER_WAY);
      letGo();
      await Promise.all([writing, reading]);
      assert.equal(receivedBytes, totalBytes);
    });
  }

  withPair(
    "what receive lends stays as it is while its promise is pending",
    async ([near, far]) => {
      const sending = send(near, [MiB, MiB]);
      let offset = 0;
      let calls = 0;
      await far.receive?.(async (view) => {
        assert.equal(++calls, 1, "never twice at once");
        checkPattern(view, offset);
        for (let turns = 0; turns < 3; turns++) await turn();
        checkPattern(view, offset);
        offset += view.byteLength;
        calls--;
      });
      assert.equal(offset, far.receive === undefined ? 0 : 2 * MiB);
      await sending;
    },
  );

  withPair("receive refuses a readable that is in use", async ([, far]) => {
    const reader = far.readable.getReader();
    assert.instanceOf(await rejection(far.receive?.(() => {})), TypeError);
    const pending = rejection(reader.read());
    reader.releaseLock();
    assert.instanceOf(await pending, TypeError);
    assert.instanceOf(await rejection(far.receive?.(() => {})), TypeError);
  });

  withPair("closing one way leaves the other open", async ([near, far]) => {
    await near.writable.close();
    await expectPattern(far, 0, "readable");
    const reading = expectPattern(near, 2 * MiB + 3, "receive");
    await send(far, [2 * MiB, 3]);
    await reading;
    await Promise.all([near.closed, far.closed]);
  });

  withPair("aborting the writable ends both ways with the very reason", async ([near, far]) => {
    const reason = new Error("enough");
    const nearRead = rejection(near.readable.getReader().read());
    const farRead = ending(far);
    await near.writable.abort(reason);
    assert.strictEqual(await nearRead, reason);
    assert.strictEqual(await rejection(near.closed), reason);
    assertCut(await farRead, traits);
  });

  withPair("abort does not wait for a write that is stuck", async ([near, far]) => {
    const writer = near.writable.getWriter();
    let acceptedBytes = 0;
    const stuck = (async () => {
      for (;;) {
        await writer.write(new Uint8Array(MiB));
        acceptedBytes += MiB;
      }
    })();
    const failure = rejection(stuck);
    await quiet(() => acceptedBytes);
    const reason = { any: "thing" };
    await writer.abort(reason);
    assert.strictEqual(await failure, reason);
    await ending(far);
  });

  withPair("close passes its reason to both streams, once", async ([near, far]) => {
    const reason = Symbol("over");
    const read = rejection(near.readable.getReader().read());
    const writer = near.writable.getWriter();
    near.close(reason);
    near.close(new Error("too late"));
    assert.strictEqual(await read, reason);
    assert.strictEqual(await rejection(writer.write(new Uint8Array(1))), reason);
    assert.strictEqual(await rejection(near.closed), reason);
    await ending(far);
  });

  withPair("close without a reason is an orderly end that loses nothing", async ([near, far]) => {
    // A kernel resets a link that is closed with bytes unread, TLS tickets among them.
    await far.writable.getWriter().write(Uint8Array.of(1));
    await near.readable.getReader().read();
    const writer = near.writable.getWriter();
    const bytes = new Uint8Array(32 * KiB);
    fillPattern(bytes, 0);
    await writer.write(bytes);
    near.close();
    await near.closed;
    assert.instanceOf(await rejection(writer.write(bytes)), TransportError);
    await expectPattern(far, bytes.byteLength, "readable");
  });

  withPair("a link that is cut in the middle fails both ways", async ([near, far]) => {
    const writer = near.writable.getWriter();
    const writing = (async () => {
      for (;;) await writer.write(new Uint8Array(MiB));
    })();
    const failure = rejection(writing);
    let receivedBytes = 0;
    const reading = readAll(far, "readable", (view) => {
      receivedBytes += view.byteLength;
      if (receivedBytes > 3 * MiB) far.close("cut");
    });
    assert.strictEqual(await rejection(reading), "cut");
    assert.instanceOf(await failure, TransportError);
    assert.instanceOf(await rejection(near.closed), TransportError);
  });

  withPair("a reader that throws resets the link with what it threw", async ([near, far]) => {
    const fault = new Error("bad frame");
    const failure = rejection(
      send(
        near,
        Array.from({ length: 64 }, () => MiB),
      ),
    );
    const received = far.receive?.(() => {
      throw fault;
    });
    assert.strictEqual(await rejection(received), fault);
    assert.strictEqual(await rejection(far.closed), fault);
    assert.instanceOf(await failure, TransportError);
  });

  withPair("cancelling the readable ends both ways", async ([near, far]) => {
    const reason = new Error("not wanted");
    await far.readable.cancel(reason);
    assert.strictEqual(await rejection(far.closed), reason);
    assert.strictEqual(await rejection(far.writable.getWriter().write(new Uint8Array(1))), reason);
    await ending(near);
  });

  test(`${name}: a hundred connections at once keep apart`, async () => {
    const pairs = await Promise.all(Array.from({ length: 100 }, () => openPair()));
    await Promise.all(
      pairs.flatMap(([near, far], index) => [
        send(near, [index, 5000]),
        expectPattern(far, index + 5000, index % 2 === 0 ? "readable" : "receive"),
        send(far, [index]),
        expectPattern(near, index, "readable"),
      ]),
    );
    await Promise.all(pairs.flat().map((end) => end.closed));
  });
}

/** One pass of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Waits until a count has not moved for many passes of the event loop. */
export async function quiet(count: () => number): Promise<void> {
  let last = count();
  for (let still = 0; still < 100; still++) {
    await turn();
    if (count() !== last) still = 0;
    last = count();
  }
}

/** What a promise rejects with; fails if it does not. */
export async function rejection(promise: Promise<unknown> | undefined): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("The promise was kept, but should have been rejected.");
}

/** How reading ended, whatever came before. */
async function ending(end: Connection): Promise<unknown> {
  try {
    await readAll(end, "readable", () => {});
  } catch (error) {
    return error;
  }
  return undefined;
}

function assertCut(found: unknown, traits: TransportTraits): void {
  if (traits.reset || found !== undefined) assert.instanceOf(found, TransportError);
}

/** Sends the pattern in pieces of these sizes without awaiting each, then closes. */
async function send(end: Connection, sizes: readonly number[]): Promise<void> {
  const writer = end.writable.getWriter();
  const writes: Promise<void>[] = [];
  let offset = 0;
  for (const size of sizes) {
    const bytes = new Uint8Array(size);
    fillPattern(bytes, offset);
    writes.push(writer.write(bytes));
    offset += size;
  }
  await Promise.all([...writes, writer.close()]);
}

async function readAll(
  end: Connection,
  way: "readable" | "receive",
  onBytes: (view: Uint8Array) => void | Promise<void>,
): Promise<void> {
  if (way === "receive" && end.receive !== undefined) return await end.receive(onBytes);
  for await (const view of end.readable) await onBytes(view);
}

/** Views of the readable are kept until the end and looked at then: they belong to the reader. */
async function expectPattern(
  end: Connection,
  totalBytes: number,
  way: "readable" | "receive",
): Promise<void> {
  const kept: Uint8Array[] = [];
  let offset = 0;
  await readAll(end, way, (view) => {
    if (way === "receive") checkPattern(view, offset);
    else kept.push(view);
    offset += view.byteLength;
  });
  assert.equal(offset, totalBytes);
  let at = 0;
  for (const view of kept) {
    checkPattern(view, at);
    at += view.byteLength;
  }
}

function patternAt(offset: number): number {
  return (offset ^ (offset >>> 8) ^ (offset >>> 16)) & 0xff;
}

function fillPattern(bytes: Uint8Array, offset: number): void {
  for (let index = 0; index < bytes.byteLength; index++) bytes[index] = patternAt(offset + index);
}

function checkPattern(bytes: Uint8Array, offset: number): void {
  for (let index = 0; index < bytes.byteLength; index++) {
    if (bytes[index] === patternAt(offset + index)) continue;
    assert.fail(`byte ${offset + index} is ${bytes[index]}, wanted ${patternAt(offset + index)}`);
  }
}
