import { assert } from "chai";
import type { Connection } from "../../lib/connection.ts";
import { ProtocolError, TransportError, UnauthorisedError } from "../../lib/errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../../lib/limits.ts";
import { FrameLink, type LinkHandler } from "../../lib/streams/frame_link.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import { encodeChecked, encodeMessage } from "../../lib/wire/control.ts";
import { FRAME } from "../../lib/wire/frame_header.ts";
import { decodeNumber, encodeNumber } from "../../lib/wire/pages.ts";
import { encodePreamble } from "../../lib/wire/preamble.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { ManualClock, settle } from "../session/support/manual_clock.ts";
import { HELLO, RawPeer } from "../session/support/raw_peer.ts";

const NOBODY: LinkHandler = { frame() {}, chunk() {}, chunkData() {} };

/** A link that accepts, and whoever speaks to it. */
function accepting(
  options: { authorise?: () => void; limits?: Partial<Limits>; handler?: LinkHandler } = {},
): { raw: RawPeer; clock: ManualClock; opened: Promise<FrameLink> } {
  const [near, far] = connectionPair();
  const clock = new ManualClock();
  const opened = FrameLink.open(far, {
    hello: HELLO,
    accepted: true,
    handler: options.handler ?? NOBODY,
    clock,
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    ...(options.authorise && { authorise: options.authorise }),
  });
  opened.catch(() => {});
  return { raw: new RawPeer(near), clock, opened };
}

export const frameLinkSuite: Suite = ({ test }) => {
  test("link: both ends learn what the other says of itself, and say goodbye", async () => {
    const [near, far] = connectionPair();
    const clock = new ManualClock();
    const common = { handler: NOBODY, clock };
    const [a, b] = await Promise.all([
      FrameLink.open(near, { ...common, hello: { ...HELLO, node: "a" }, accepted: false }),
      FrameLink.open(far, { ...common, hello: { ...HELLO, node: "b" }, accepted: true }),
    ]);
    assert.equal((await a.remoteHello).node, "b");
    assert.equal((await b.remoteHello).node, "a");
    await Promise.all([a.goodbye(), a.goodbye()]);
    await b.closed;
    await a.closed;
    await settle();
    assert.equal(clock.pending, 0, "timers are left");
  });

  test("link: whoever says nothing for five seconds is let go, without an answer", async () => {
    const { raw, clock, opened } = accepting();
    await clock.advance(4999);
    await raw.send(encodePreamble().subarray(0, 3)); // a drip does not help
    await clock.advance(1);
    await assertRejects(() => opened, TransportError, /did not say HELLO within 5000 ms/);
    await raw.ended;
    assert.equal(clock.pending, 0);
  });

  test("link: what does not speak headrace, or no version of ours, is let go", async () => {
    const http = new TextEncoder().encode("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const one = accepting();
    await one.raw.send(http);
    await assertRejects(() => one.opened, ProtocolError, /does not speak headrace/);
    await assertRejects(() => one.raw.fault(), Error, /No frame/);
    const two = accepting();
    await two.raw.send(encodePreamble({ lowest: 900, highest: 901 }));
    await assertRejects(() => two.opened, ProtocolError, /No common protocol version/);
  });

  test("link: frames before HELLO, and a second HELLO, are refused and told why", async () => {
    const one = accepting();
    await one.raw.send(encodePreamble());
    await one.raw.message("list", 1, {
      pattern: { model: "*", partition: "*", tensor: "*" },
      roots: false,
    });
    await assertRejects(() => one.opened, ProtocolError, /list frame before HELLO/);
    assert.match((await one.raw.fault()).message, /before HELLO/);
    const two = accepting();
    await two.raw.greet();
    const link = await two.opened;
    await two.raw.message("hello", 0, HELLO);
    await assertRejects(() => link.closed, ProtocolError, /HELLO twice/);
    assert.equal((await two.raw.fault()).code, "protocol");
  });

  test("link: nothing is answered before the other end is let in", async () => {
    const { raw, opened } = accepting({
      authorise: () => {
        throw new UnauthorisedError("A token is needed to connect");
      },
    });
    await raw.greet({ token: "wrong-tok" });
    await assertRejects(() => opened, UnauthorisedError, /token is needed/);
    const fault = await raw.fault();
    assert.deepEqual(fault, {
      code: "unauthorised",
      retryable: false,
      message: "A token is needed to connect",
    });
  });

  test("link: an abort ends the handshake with the signal's own reason", async () => {
    for (const when of ["before", "during"]) {
      const [near] = connectionPair();
      const clock = new ManualClock();
      const stop = new AbortController();
      const reason = { because: "enough" };
      if (when === "before") stop.abort(reason);
      const signal = stop.signal;
      const options = { hello: HELLO, accepted: false, handler: NOBODY, clock, signal };
      const opened = FrameLink.open(near, options);
      opened.catch(() => {});
      await settle();
      stop.abort(reason);
      assert.strictEqual(await opened.catch((error: unknown) => error), reason);
      assert.equal(clock.pending, 0);
    }
  });

  test("link: to the other end a handshake that was given up is cancelled, whatever the reason", async () => {
    const [near, far] = connectionPair();
    const stop = new AbortController();
    const { signal } = stop;
    const options = { hello: HELLO, accepted: true, handler: NOBODY, signal };
    const opened = FrameLink.open(near, options);
    opened.catch(() => {});
    const raw = new RawPeer(far);
    await raw.send(encodePreamble());
    await settle();
    stop.abort(new Error("of nobody else's business"));
    assert.deepEqual(await raw.fault(), {
      code: "cancelled",
      retryable: false,
      message: "cancelled",
    });
    raw.close();
  });

  test("link: is pinged when it is quiet, and dead when it stays quiet; any frame counts", async () => {
    const { raw, clock, opened } = accepting();
    await raw.greet();
    const link = await opened;
    // The first measures the round trip, before anything else is on its way.
    const first = decodeNumber(await raw.nextBody(FRAME.ping));
    await clock.advance(5_000);
    assert.isAbove(decodeNumber(await raw.nextBody(FRAME.ping)), first);
    await clock.advance(20_000);
    await raw.send(encodeChecked(FRAME.pong, 0, encodeNumber(0)));
    await settle();
    await clock.advance(29_999);
    link.closed.catch(() => {});
    await raw.nextBody(FRAME.ping);
    await clock.advance(10_000);
    await assertRejects(() => link.closed, TransportError, /Nothing was heard from memory:/);
    await raw.ended;
    assert.equal(clock.pending, 0);
  });

  test("link: a flood of pings is answered by few pongs, and cannot fill memory", async () => {
    const [near, far] = connectionPair({ bufferBytes: 1024 });
    const clock = new ManualClock();
    const opened = FrameLink.open(far, { hello: HELLO, accepted: true, handler: NOBODY, clock });
    const raw = new RawPeer(near, false);
    await raw.greet();
    const link = await opened;
    const sentBefore = link.sentBytes;
    const ping = encodeChecked(FRAME.ping, 0, encodeNumber(7));
    const flood = new Uint8Array(1000 * ping.byteLength);
    for (let n = 0; n < 1000; n++) flood.set(ping, n * ping.byteLength);
    for (let n = 0; n < 20; n++) await raw.send(flood);
    await settle();
    assert.isBelow(link.sentBytes - sentBefore, 32 * 1024, "of 560,000 that came");
    link.close();
  });

  test("link: a peer that reads nothing of what it asked for is cut off at a mebibyte", async () => {
    const [near, far] = connectionPair({ bufferBytes: 1024 });
    const clock = new ManualClock();
    const opened = FrameLink.open(far, { hello: HELLO, accepted: true, handler: NOBODY, clock });
    const raw = new RawPeer(near, false);
    await raw.greet();
    const link = await opened;
    const frame = encodeChecked(FRAME.credit, 1, encodeNumber(1));
    for (let n = 0; n < 40_000; n++) link.send(frame);
    const failed = assertRejects(() => link.closed, Error, /does not read what it asked for/);
    await clock.advance(100);
    await failed;
    assert.isBelow(link.sentBytes, 1.2 * 1024 * 1024);
  });

  test("link: what comes while it leaves is not answered, whatever it is", async () => {
    const [near, far] = connectionPair();
    let letGo = () => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const writer = far.writable.getWriter();
    // An end that takes its time to leave.
    const slow: Connection = {
      readable: far.readable,
      writable: new WritableStream({
        write: (bytes) => writer.write(bytes),
        close: () => held.then(() => writer.close()),
      }),
      closed: far.closed,
      remote: far.remote,
      close: (reason) => far.close(reason),
    };
    const clock = new ManualClock();
    const opened = FrameLink.open(slow, { hello: HELLO, accepted: true, handler: NOBODY, clock });
    const raw = new RawPeer(near);
    await raw.greet();
    const link = await opened;
    const leaving = link.goodbye();
    await raw.next(FRAME.goodbye);
    await settle();
    await raw.send(encodeChecked(FRAME.ping, 0, encodeNumber(7)));
    await settle();
    await assertRejects(() => link.write(Uint8Array.of(1)), TransportError, /said goodbye/);
    letGo();
    await leaving;
    await link.closed;
    await assertRejects(() => raw.next(FRAME.pong), Error, /No frame/);
    assert.equal(clock.pending, 0);
  });

  test("link: an end of the stream without goodbye is a fault of the link", async () => {
    const [near, far] = connectionPair();
    const options = { hello: HELLO, handler: NOBODY, clock: new ManualClock() };
    const opened = FrameLink.open(far, { ...options, accepted: true });
    const writer = near.writable.getWriter();
    await writer.write(encodePreamble());
    await writer.write(encodeMessage("hello", 0, HELLO));
    const link = await opened;
    await writer.close();
    await assertRejects(() => link.closed, TransportError, /without a goodbye/);
    const error = await link.closed.catch((reason: TransportError) => reason);
    assert.isTrue((error as TransportError).retryable);
  });
};
