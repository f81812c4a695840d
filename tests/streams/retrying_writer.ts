import { assert } from "chai";
import type { Connect } from "../../lib/connection.ts";
import {
  ConfigError,
  IntegrityError,
  RemoteError,
  RetryExhaustedError,
  TransportError,
  UnauthorisedError,
} from "../../lib/errors.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import type { TensorPeerOptions } from "../../lib/session/peer_options.ts";
import type { Transfer } from "../../lib/session/transfer.ts";
import { ChecksumStream } from "../../lib/streams/checksum_stream.ts";
import { ChunkerStream } from "../../lib/streams/chunker_stream.ts";
import { CompressorStream } from "../../lib/streams/compressor_stream.ts";
import { FrameEncoderStream } from "../../lib/streams/frame_encoder_stream.ts";
import { pipesHearErrors } from "../../lib/streams/pipes_hear_errors.ts";
import { type RetryingWriterOptions, retryingWriter } from "../../lib/streams/retrying_writer.ts";
import type { TensorAddress } from "../../lib/tensor/address.ts";
import { createDescriptor, type TensorDescriptor } from "../../lib/tensor/descriptor.ts";
import type { SinkStore } from "../../lib/tensor/sink.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import { FRAME } from "../../lib/wire/frame_header.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { type Faults, FaultyConnection, seeded } from "../session/support/faulty_connection.ts";
import { ManualClock, quiet, settle } from "../session/support/manual_clock.ts";
import { RawPeer } from "../session/support/raw_peer.ts";
import { LEAF, TestSink, tensorBytes, WEIGHTS } from "../session/support/tensors.ts";
import { patterned, sameBytes } from "./support.ts";

const KiB = 1024;
const VERSION = Uint8Array.of(1, 2, 3);
const FAST = { baseDelayMs: 0, maxDelayMs: 0 };

/** Keeps one sink, as a folder keeps one file, for as many attempts as it takes. */
class OneSink implements SinkStore {
  sink: TestSink | undefined;
  accepted = 0;
  async accept(_address: TensorAddress, descriptor: TensorDescriptor): Promise<TestSink> {
    this.accepted++;
    this.sink ??= new TestSink(descriptor);
    return this.sink;
  }
}

interface Link {
  readonly wire: FaultyConnection;
  readonly server: TensorPeer;
}

/** Dials an accepting peer in memory, each time with the next of the faults. */
function dialler(
  sinks: SinkStore,
  faultsOf: (dial: number) => Faults,
  options: TensorPeerOptions = {},
): { connect: Connect; links: Link[]; closeAll: () => Promise<void> } {
  const links: Link[] = [];
  const connect = async () => {
    const [near, far] = connectionPair();
    const wire = new FaultyConnection(near, faultsOf(links.length));
    const server = new TensorPeer(far, { ...options, sinks, accepted: true });
    server.closed.catch(() => {});
    links.push({ wire, server });
    return wire;
  };
  const closeAll = async () => {
    for (const { server } of links) await server.close();
  };
  return { connect, links, closeAll };
}

function frames(
  bytes: Uint8Array,
  options: { chunkBytes?: number; digest?: "sha256" | "none" } = {},
): ReadableStream<Uint8Array> {
  const { chunkBytes = LEAF, digest = "sha256" } = options;
  const descriptor = createDescriptor("U8", [bytes.byteLength]);
  return new Blob([bytes as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new ChunkerStream({ chunkBytes }))
    .pipeThrough(new ChecksumStream({ digest }))
    .pipeThrough(new CompressorStream())
    .pipeThrough(
      new FrameEncoderStream({ address: WEIGHTS, descriptor, version: VERSION, digest }),
    );
}

/** Pushes bytes through a writer; gives what the pipe ended with. */
function push(
  bytes: Uint8Array,
  connect: Connect,
  policy: Parameters<typeof retryingWriter>[1] = FAST,
  options: RetryingWriterOptions = {},
): Promise<void> {
  return frames(bytes).pipeTo(retryingWriter(connect, policy, options));
}

export const retryingWriterSuite: Suite = ({ test }) => {
  for (const chunkBytes of [64 * KiB, 700 * KiB, LEAF, 4 * LEAF]) {
    test(`retrying writer: a tensor larger than its buffer goes through in chunks of ${chunkBytes}`, async () => {
      const bytes = tensorBytes(9 * LEAF + 5);
      const sinks = new OneSink();
      const { connect, closeAll } = dialler(sinks, () => ({}));
      const options = { maxBufferedBytes: 1 };
      await frames(bytes, { chunkBytes }).pipeTo(retryingWriter(connect, {}, options));
      assert.isTrue(sameBytes(sinks.sink?.bytes ?? new Uint8Array(), bytes));
      await closeAll();
    });
  }

  test("retrying writer: a receiver that stores nothing holds the source at the buffer's size", async () => {
    const sinks = new OneSink();
    let go: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    const accept = sinks.accept.bind(sinks);
    sinks.accept = async (...given) => {
      const sink = await accept(...given);
      sink.onWrite = () => held;
      return sink;
    };
    const { connect, closeAll } = dialler(sinks, () => ({}));
    const bytes = tensorBytes(40 * LEAF);
    let pulledBytes = 0;
    const counted = new TransformStream<Uint8Array, Uint8Array>(
      {
        transform(frame, controller) {
          pulledBytes += frame.byteLength;
          controller.enqueue(frame);
        },
      },
      { highWaterMark: 1 },
      { highWaterMark: 0 },
    );
    const pushed = frames(bytes)
      .pipeThrough(counted)
      .pipeTo(retryingWriter(connect, FAST, { maxBufferedBytes: 4 * LEAF }));
    await quiet(() => pulledBytes);
    assert.isAbove(pulledBytes, LEAF);
    assert.isBelow(pulledBytes, 7 * LEAF);
    go();
    await pushed;
    assert.isTrue(sameBytes(sinks.sink?.bytes ?? new Uint8Array(), bytes));
    await closeAll();
  });

  test("retrying writer: fifty cuts at random places end in the same bytes, few of them sent twice", async () => {
    const bytes = patterned(30 * LEAF + 77);
    const random = seeded(20);
    const sinks = new OneSink();
    const { connect, links, closeAll } = dialler(sinks, (dial) =>
      dial < 50 ? { cutAfterBytes: Math.floor(random() * 1.5 * LEAF) + 1 } : {},
    );
    await push(bytes, connect, { ...FAST, maxRetries: "unlimited" });
    assert.isTrue(sameBytes(sinks.sink?.bytes ?? new Uint8Array(), bytes));
    assert.equal(links.length, 51);
    const sent = links.reduce((sum, { wire }) => sum + wire.writtenBytes, 0);
    assert.isBelow(sent, bytes.byteLength + 52 * LEAF);
    await closeAll();
  });

  test("retrying writer: a cut after most is here sends only what is missing", async () => {
    const bytes = patterned(12 * LEAF);
    const sinks = new OneSink();
    const { connect, links, closeAll } = dialler(sinks, (dial) =>
      dial === 0 ? { cutAfterBytes: 10 * LEAF } : {},
    );
    await push(bytes, connect);
    assert.isTrue(sameBytes(sinks.sink?.bytes ?? new Uint8Array(), bytes));
    assert.lengthOf(links, 2);
    // The link in memory holds 256 KiB and a cut loses that, so a leaf or two come again.
    assert.isBelow(links[1]?.wire.writtenBytes ?? 0, 4.5 * LEAF);
    await closeAll();
  });

  test("retrying writer: a damaged chunk goes again by itself, on the same connection", async () => {
    for (const chunkBytes of [64 * KiB, LEAF, 4 * LEAF]) {
      const bytes = patterned(6 * LEAF);
      const sinks = new OneSink();
      const flipAt = [100 * KiB, 2.5 * LEAF];
      const { connect, links, closeAll } = dialler(sinks, () => ({ flipAt }));
      await frames(bytes, { chunkBytes }).pipeTo(retryingWriter(connect, FAST));
      assert.isTrue(sameBytes(sinks.sink?.bytes ?? new Uint8Array(), bytes));
      assert.lengthOf(links, 1);
      await closeAll();
    }
  });

  test("retrying writer: what the receiver held from earlier is not sent again", async () => {
    const bytes = patterned(8 * LEAF);
    const sinks = new OneSink();
    const first = dialler(sinks, () => ({ cutAfterBytes: 5 * LEAF }));
    const policy = { ...FAST, maxRetries: 0 };
    await assertRejects(() => push(bytes, first.connect, policy), RetryExhaustedError, /Gave up/);
    await first.closeAll();
    const held = (await sinks.sink?.held())?.leaves.length ?? 0;
    assert.isAtLeast(held, 3);
    const second = dialler(sinks, () => ({}));
    await push(bytes, second.connect);
    assert.isTrue(sameBytes(sinks.sink?.bytes ?? new Uint8Array(), bytes));
    assert.isBelow(second.links[0]?.wire.writtenBytes ?? 0, (8 - held + 0.1) * LEAF);
    await second.closeAll();
  });

  test("retrying writer: a receiver that lost acknowledged leaves is an error that no retry mends", async () => {
    const bytes = patterned(24 * LEAF);
    const sinks = new OneSink();
    const { connect, closeAll } = dialler(sinks, (dial) => {
      sinks.sink = undefined;
      return dial === 0 ? { cutAfterBytes: 20 * LEAF } : {};
    });
    const error = await assertRejects(
      () => push(bytes, connect),
      IntegrityError,
      /lost leaf 0, which it had acknowledged/,
    );
    assert.isFalse(error.retryable);
    await closeAll();
  });

  test("retrying writer: waits as the policy says between failed dials, then gives up", async () => {
    const clock = new ManualClock();
    let dials = 0;
    const refuse = async () => {
      dials++;
      throw new TransportError("refused");
    };
    const policy = { maxRetries: 4, baseDelayMs: 100, maxDelayMs: 500, jitterFactor: 0.5 };
    const options = { clock, random: () => 1 };
    const pushed = push(tensorBytes(10), refuse, policy, options);
    pushed.catch(() => {});
    const error = await assertRejects(
      () => clock.runUntil(pushed),
      RetryExhaustedError,
      /after 5 failed attempts in a row: refused/,
    );
    assert.equal(error.attempts, 5);
    assert.equal(dials, 5);
    assert.deepEqual(clock.delaysMs, [150, 300, 600, 750]);
    assert.equal(clock.pending, 0);
  });

  test("retrying writer: stands still while the receiver pauses it, and takes note of a priority", async () => {
    const bytes = tensorBytes(60 * LEAF + 5);
    const sinks = new OneSink();
    let transfer: Transfer | undefined;
    const accept = sinks.accept.bind(sinks);
    sinks.accept = async (...given) => {
      const sink = await accept(...given);
      sink.onWrite = (index) => {
        if (index !== 3 || !transfer) return;
        transfer.priority = 200;
        transfer.pause();
      };
      return sink;
    };
    const { connect, links, closeAll } = dialler(sinks, () => ({}), {
      onTransfer: (begun) => {
        transfer = begun;
      },
    });
    const pushed = frames(bytes, { chunkBytes: 2 * LEAF }).pipeTo(retryingWriter(connect, FAST));
    const isHere = () => sinks.sink?.written.length ?? 0;
    await quiet(isHere);
    assert.isAtLeast(isHere(), 3);
    assert.isBelow(isHere(), 50, "leaves that came although it was paused");
    transfer?.resume();
    await pushed;
    assert.isTrue(sameBytes(sinks.sink?.bytes ?? new Uint8Array(), bytes));
    assert.lengthOf(links, 1);
    await closeAll();
  });

  test("retrying writer: a receiver that does not keep the tensor has cancelled it", async () => {
    const [near, far] = connectionPair();
    const raw = new RawPeer(far);
    const pushed = push(tensorBytes(1000), async () => near);
    await raw.greet();
    const { stream } = (await raw.next(FRAME.offer)).header;
    await raw.message("accept", stream, { limit: LEAF });
    await raw.next(FRAME.complete);
    await raw.message("receipt", stream, { complete: false });
    const error = await assertRejects(() => pushed, RemoteError, /did not keep the tensor/);
    assert.equal(error.remoteCode, "cancelled");
    raw.close();
  });

  test("retrying writer: an abort ends everything with the signal's own reason", async () => {
    const reason = new Error("enough");
    for (const when of ["before", "dialling", "moving"]) {
      const stop = new AbortController();
      const sinks = new OneSink();
      const stalled = dialler(sinks, () => ({ stallAfterBytes: 2 * LEAF }));
      const never: Connect = (signal) =>
        new Promise((_, reject) => {
          signal?.addEventListener("abort", () => reject(signal.reason));
        });
      if (when === "before") stop.abort(reason);
      const connect = when === "moving" ? stalled.connect : never;
      const pushed = push(tensorBytes(30 * LEAF), connect, FAST, { signal: stop.signal });
      pushed.catch(() => {});
      for (let i = 0; i < 20; i++) await settle();
      stop.abort(reason);
      assert.strictEqual(await pushed.catch((error: unknown) => error), reason, when);
      for (const { server } of stalled.links) await server.closed.catch(() => {});
      await settle();
      assert.equal(sinks.sink?.released ?? 0, sinks.accepted);
      await stalled.closeAll();
    }
  });

  test("retrying writer: giving up while the source has nothing fails the pipe, or its next write where pipes do not hear", async () => {
    const refuse: Connect = async () => {
      throw new TransportError("refused");
    };
    const reader = frames(tensorBytes(2 * LEAF)).getReader();
    let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
    const source = new ReadableStream<Uint8Array>({
      start: (own) => {
        controller = own;
      },
    });
    const next = async () => controller?.enqueue((await reader.read()).value as Uint8Array);
    const piped = source.pipeTo(retryingWriter(refuse, { ...FAST, maxRetries: 0 }));
    piped.catch(() => {});
    await next();
    for (let n = 0; n < 20; n++) await settle();
    if (!(await pipesHearErrors())) await next();
    await assertRejects(() => piped, RetryExhaustedError, /refused/);
  });

  test("retrying writer: what is no transfer's frame is misuse, and nothing stays open", async () => {
    const sinks = new OneSink();
    const { connect, links, closeAll } = dialler(sinks, () => ({}));
    const writer = retryingWriter(connect).getWriter();
    writer.closed.catch(() => {});
    const reader = frames(tensorBytes(2 * LEAF)).getReader();
    const offer = (await reader.read()).value as Uint8Array;
    await writer.write(offer);
    await settle();
    assert.lengthOf(links, 1);
    await assertRejects(() => writer.write(offer), TypeError, /offer frame cannot come here/);
    await links[0]?.server.closed.catch(() => {});
    const second = retryingWriter(connect).getWriter();
    second.closed.catch(() => {});
    await second.write(offer);
    await assertRejects(() => second.close(), TypeError, /before its complete frame/);
    await settle();
    for (const { server } of links) await server.closed.catch(() => {});
    await reader.cancel();
    await closeAll();
  });

  test("retrying writer: compression that the receiver cannot undo is an error, unused it is not", async () => {
    for (const isUsed of [false, true]) {
      const bytes = isUsed ? new Uint8Array(3 * LEAF) : patterned(3 * LEAF);
      const sinks = new OneSink();
      const [near, far] = connectionPair();
      const server = new TensorPeer(far, { sinks, codecs: [], accepted: true });
      const piped = push(bytes, async () => near);
      if (isUsed) {
        await assertRejects(() => piped, ConfigError, /cannot undo the compression deflate/);
      } else {
        await piped;
        assert.isTrue(sameBytes(sinks.sink?.bytes ?? new Uint8Array(), bytes));
      }
      await server.close();
    }
  });

  test("retrying writer: a wrong token is final and stays out of every message", async () => {
    const sinks = new OneSink();
    const token = "tok-5ecret";
    const options = { authorise: (given?: string) => given === "another" };
    const { connect, links, closeAll } = dialler(sinks, () => ({}), options);
    const error = await assertRejects(
      () => push(tensorBytes(10), connect, FAST, { token }),
      UnauthorisedError,
      /not the right one/,
    );
    assert.notInclude(`${error.stack} ${JSON.stringify(error)}`, token);
    assert.lengthOf(links, 1);
    await closeAll();
  });
};
