import { assert } from "chai";
import fc from "fast-check";
import { deferred } from "../../lib/deferred.ts";
import { IntegrityError, LimitError, SourceNotRewindableError } from "../../lib/errors.ts";
import { MemorySink } from "../../lib/session/memory_sink.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { StreamSource, type StreamSourceOptions } from "../../lib/session/stream_source.ts";
import type { TensorDescriptor } from "../../lib/tensor/descriptor.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import { costExponent, countWork, totalWork } from "../complexity.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { countedSource, patterned, sameBytes, turns } from "../streams/support.ts";
import { damagedConnection } from "./damaged_connection.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const content = patterned(12 * MiB + 777);

/** Cuts bytes at the given lengths, over and over. */
function* slices(bytes: Uint8Array, lengths: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.byteLength; i++) {
    const length = lengths[i % lengths.length] as number;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

/** A source of known length over counted slices. */
function counted(bytes: Uint8Array, sliceBytes: number, options?: StreamSourceOptions) {
  const { stream, pulls, cancelled } = countedSource(slices(bytes, [sliceBytes]));
  const tensor = { dtype: "U8", shape: [bytes.byteLength] } as const;
  return { source: new StreamSource(stream, tensor, options), pulls, cancelled };
}

/** A source of 32-bit rows of three, of which it is not known how many come. */
function openEnded(bytes: Uint8Array, sliceBytes: number, mostRows = Infinity) {
  const { stream, pulls } = countedSource(slices(bytes, [sliceBytes]));
  const tensor = { dtype: "F32", shape: [mostRows, 3], openEnded: true } as const;
  return { source: new StreamSource(stream, tensor), pulls };
}

async function bytesAt(source: StreamSource, byteOffset: number, length: number) {
  const into = new Uint8Array(length);
  await source.read(byteOffset, into);
  return into;
}

const leafOf = (index: number) => content.subarray(index * MiB, (index + 1) * MiB);

/** Whether the promise is settled once all that is ready has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  promise.then(settle, settle);
  await turns(2000);
  return settled;
}

export const streamSourceSuite: Suite = ({ test }) => {
  test("stream source: gives the stream's bytes, however it is sliced and read", async () => {
    const lengths = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 5000 }), fc.nat(3 * MiB));
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.nat(1000), fc.nat(5 * MiB)),
        fc.array(lengths, { minLength: 1, maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 3 * MiB }), { minLength: 1, maxLength: 4 }),
        async (byteLength, cuts, reads) => {
          const bytes = content.subarray(0, byteLength);
          const parts = slices(bytes, [...cuts, 100 * KiB]);
          const tensor = { dtype: "U8", shape: [byteLength] } as const;
          const source = new StreamSource(countedSource(parts).stream, tensor);
          for (let at = 0, i = 0; at < byteLength; i++) {
            const wanted = Math.max(reads[i % reads.length] as number, byteLength / 500);
            const length = Math.min(Math.ceil(wanted), byteLength - at);
            const part = await bytesAt(source, at, length);
            assert.isTrue(sameBytes(part, bytes.subarray(at, at + length)));
            at += length;
          }
          await source.close();
        },
      ),
      { numRuns: 30 },
    );
  });

  test("stream source: asks the stream for what is read, and for nothing more", async () => {
    const { source, pulls } = counted(content, 64 * KiB);
    await source.version();
    await turns(200);
    assert.equal(pulls(), 0);
    assert.isTrue(sameBytes(await bytesAt(source, 0, MiB), leafOf(0)));
    assert.equal(pulls(), 16);
    await Promise.all([
      bytesAt(source, MiB, 10),
      bytesAt(source, 0, MiB),
      bytesAt(source, MiB, 20),
    ]);
    await turns(200);
    assert.equal(pulls(), 17);
    await source.close();
  });

  test("stream source: a stream of bytes is read 256 KiB at a time, and keeps nothing of what was read before", async () => {
    const bytes = content.subarray(0, 3 * MiB);
    const asked: number[] = [];
    let at = 0;
    const stream = new ReadableStream<Uint8Array>({
      type: "bytes",
      pull: (controller) => {
        const { byobRequest } = controller as ReadableByteStreamController;
        const view = byobRequest?.view as Uint8Array;
        asked.push(view.byteLength);
        new Uint8Array(view.buffer).set(bytes.subarray(at, at + view.byteLength));
        at += view.byteLength;
        byobRequest?.respond(view.byteLength);
      },
    });
    const source = new StreamSource(stream, { dtype: "U8", shape: [4 * MiB] });
    const parts = [await bytesAt(source, 0, MiB), await bytesAt(source, MiB, 2 * MiB)];
    // What was read stays what it is, whatever is read after it.
    assert.isTrue(sameBytes(parts[0] as Uint8Array, bytes.subarray(0, MiB)));
    assert.isTrue(sameBytes(parts[1] as Uint8Array, bytes.subarray(MiB)));
    assert.deepEqual(new Set(asked), new Set([256 * KiB]));
    assert.equal(asked.length, 12);
    await source.close();
  });

  test("stream source: waits while the buffer is full, and goes on as leaves are acknowledged", async () => {
    const { source, pulls } = counted(content, 64 * KiB, { replayBytes: 8 * MiB + 1 });
    for (let leaf = 0; leaf < 8; leaf++) await bytesAt(source, leaf * MiB, MiB);
    assert.equal(source.bufferedBytes, 8 * MiB);
    const ninth = bytesAt(source, 8 * MiB, MiB);
    assert.isFalse(await isSettled(ninth));
    assert.isAtMost(pulls(), 8 * 16 + 1, "one slice is at hand, no more");
    source.acknowledged([{ first: 5, count: 1 }]);
    assert.isTrue(sameBytes(await ninth, leafOf(8)));
    assert.equal(source.bufferedBytes, 8 * MiB);
    source.acknowledged([
      { first: 8, count: 1 },
      { first: 0, count: 3 },
    ]);
    for (let leaf = 9; leaf < 12; leaf++) {
      assert.isTrue(sameBytes(await bytesAt(source, leaf * MiB, MiB), leafOf(leaf)));
      assert.isAtMost(source.bufferedBytes, 8 * MiB);
    }
    await bytesAt(source, 12 * MiB, 777);
    source.acknowledged([{ first: 0, count: 13 }]);
    assert.equal(source.bufferedBytes, 0);
  });

  test("stream source: after a cut gives once more what is not acknowledged, and nothing else", async () => {
    const { source } = counted(content, 100_000);
    for (let leaf = 0; leaf < 8; leaf++) await bytesAt(source, leaf * MiB, MiB);
    source.acknowledged([
      { first: 0, count: 2 },
      { first: 4, count: 1 },
      { first: 9, count: 3 }, // has not been given: not believed
    ]);
    const left = bytesAt(source, 8 * MiB, 4 * MiB); // an attempt that is over, and still reads
    for (const leaf of [2, 3, 5, 6, 7, 8, 9, 10, 11]) {
      assert.isTrue(sameBytes(await bytesAt(source, leaf * MiB, MiB), leafOf(leaf)), `${leaf}`);
    }
    assert.isTrue(sameBytes(await left, content.subarray(8 * MiB, 12 * MiB)));
    for (const read of [bytesAt(source, 0, 1), bytesAt(source, 3 * MiB, 2 * MiB)]) {
      const error = await assertRejects(() => read, SourceNotRewindableError, /let go/);
      assert.deepInclude(error, { code: "source_not_rewindable", retryable: false });
    }
    assert.isTrue(sameBytes(await bytesAt(source, 5 * MiB, MiB), leafOf(5)));
  });

  test("stream source: what was let go is missed at once, not when the stream goes on", async () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const source = new StreamSource(readable, { dtype: "U8", shape: [content.byteLength] });
    const writer = writable.getWriter();
    await Promise.all([writer.write(content.subarray(0, MiB)), bytesAt(source, 0, MiB)]);
    source.acknowledged([{ first: 0, count: 1 }]);
    const read = () => bytesAt(source, MiB - 1, 2);
    await assertRejects(read, SourceNotRewindableError, /Leaf 0 was/);
    await source.close();
  });

  test("stream source: a stream shorter or longer than the tensor is wrong at its source", async () => {
    const tensor = { dtype: "F32", shape: [100] } as const;
    const bytes = content.subarray(0, 404);
    const short = new StreamSource(countedSource([bytes.subarray(0, 396)]).stream, tensor);
    await bytesAt(short, 0, 396);
    const long = countedSource([bytes.subarray(0, 400), bytes.subarray(400)]);
    const tooLong = new StreamSource(long.stream, tensor);
    await bytesAt(tooLong, 0, 399);
    for (const [source, message] of [
      [short, /has 400 bytes, but its stream ended after 396/],
      [tooLong, /has 400 bytes, but its stream gave at least 404/],
    ] as const) {
      for (let i = 0; i < 2; i++) {
        const error = await assertRejects(() => bytesAt(source, 390, 10), IntegrityError, message);
        assert.deepInclude(error, { where: "source", retryable: false });
      }
    }
    assert.instanceOf(long.cancelled(), IntegrityError);
  });

  test("stream source: a tensor without bytes wants a stream without bytes", async () => {
    const tensor = { dtype: "F32", shape: [0, 5] } as const;
    const empty = new StreamSource(countedSource([]).stream, tensor);
    assert.equal((await empty.version()).byteLength, 16);
    const full = new StreamSource(countedSource([Uint8Array.of(1)]).stream, tensor);
    await assertRejects(
      () => full.version(),
      IntegrityError,
      /has 0 bytes, but .* gave at least 1/,
    );
  });

  test("stream source: the stream's own error is that of every read, untouched", async () => {
    const broken = new Error("the disk is gone");
    let fail = (): void => {};
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(content.subarray(0, MiB));
        fail = () => controller.error(broken);
      },
    });
    const source = new StreamSource(stream, { dtype: "U8", shape: [8 * MiB] });
    await bytesAt(source, 0, MiB);
    fail();
    for (const work of [
      () => source.read(4 * MiB, new Uint8Array(1)),
      () => source.read(0, new Uint8Array(1)),
    ]) {
      assert.equal(await work().catch((error) => error), broken);
    }
    assert.equal(source.bufferedBytes, 0);
    const text = countedSource(["text" as unknown as Uint8Array]);
    const wrong = new StreamSource(text.stream, { dtype: "U8", shape: [4] });
    await assertRejects(() => bytesAt(wrong, 0, 4), TypeError, /Uint8Array, found string/);
  });

  test("stream source: an open end is seen before the last chunk is read", async () => {
    const bytes = content.subarray(0, 3 * MiB + 12 * 1000);
    const { source, pulls } = openEnded(bytes, 12 * 1000);
    assert.isUndefined(source.finalDescriptor);
    assert.isTrue(source.isOpenEnded);
    assert.isUndefined(await source.peekEnd(0));
    assert.equal(pulls(), 1);
    assert.isUndefined(await source.peekEnd(3 * MiB));
    assert.equal(pulls(), Math.ceil((3 * MiB + 1) / 12_000));
    assert.equal(await source.peekEnd(bytes.byteLength), bytes.byteLength);
    const wanted = { dtype: "F32", shape: [bytes.byteLength / 12, 3] } as const;
    assert.deepEqual(source.finalDescriptor, { ...wanted, byteLength: bytes.byteLength });
    const last = await bytesAt(source, 3 * MiB, 12_000);
    assert.isTrue(sameBytes(last, bytes.subarray(3 * MiB)));
    await assertRejects(() => bytesAt(source, 3 * MiB, 12_001), RangeError, /has 3157728 bytes/);
  });

  test("stream source: looking for the end needs no room in the buffer", async () => {
    const bytes = content.subarray(0, 9 * MiB);
    const { stream } = countedSource(slices(bytes, [64 * KiB]));
    const tensor = { dtype: "U8", shape: [Infinity], openEnded: true } as const;
    const source = new StreamSource(stream, tensor, { replayBytes: 8 * MiB });
    assert.isUndefined(await source.peekEnd(8 * MiB));
    assert.equal(source.bufferedBytes, 8 * MiB);
    source.acknowledged([{ first: 0, count: 1 }]);
    assert.equal(await source.peekEnd(9 * MiB), 9 * MiB);
    await assertRejects(() => bytesAt(source, 9 * MiB, 1), RangeError, /has 9437184 bytes/);
  });

  test("stream source: an open end within a row, or after more rows than may come, is an error", async () => {
    const partial = openEnded(content.subarray(0, 100), 30).source;
    const error = await assertRejects(() => partial.peekEnd(100), IntegrityError, /12 .*after 100/);
    assert.deepInclude(error, { where: "source", retryable: false });
    await assertRejects(() => bytesAt(partial, 0, 12), IntegrityError, /12 .*after 100/);
    const many = openEnded(content.subarray(0, 120), 12, 9).source;
    assert.isUndefined(await many.peekEnd(107));
    await assertRejects(() => many.peekEnd(108), LimitError, /may have 108 bytes.* at least 120/);
    const none = openEnded(new Uint8Array(), 12).source;
    assert.equal(await none.peekEnd(0), 0);
    assert.deepEqual(none.finalDescriptor?.shape, [0, 3]);
    const past = openEnded(content.subarray(0, 108), 12).source;
    await assertRejects(() => bytesAt(past, 100, 20), RangeError, /has 108 bytes, but 100 to 120/);
    const full = openEnded(content.subarray(0, 108), 12, 9).source;
    assert.isTrue(sameBytes(await bytesAt(full, 0, 108), content.subarray(0, 108)));
    assert.equal(await full.peekEnd(108), 108);
  });

  test("stream source: closing cancels the stream, frees the buffer and ends whoever waits", async () => {
    const { source, cancelled } = counted(content, 64 * KiB, { replayBytes: 8 * MiB });
    const waiting = [bytesAt(source, 4 * MiB, 5 * MiB), bytesAt(source, 8 * MiB, MiB)];
    for (const read of waiting) assert.isFalse(await isSettled(read));
    const reason = new Error("enough");
    await source.close(reason);
    for (const read of waiting) assert.equal(await read.catch((error) => error), reason);
    assert.equal(cancelled(), reason);
    assert.equal(source.bufferedBytes, 0);
    await assertRejects(() => bytesAt(source, 0, 1), Error, /enough/);
    const other = counted(content, MiB).source;
    await bytesAt(other, 0, MiB);
    const late = bytesAt(other, 0, MiB); // has all it needs, and is overtaken
    await other.close(reason);
    assert.equal(await late.catch((error) => error), reason);
    const silent = new StreamSource(new ReadableStream(), { dtype: "U8", shape: [4] });
    const read = silent.read(0, new Uint8Array(4));
    await silent.close();
    assert.equal(await read.catch((error) => error.name), "AbortError");
  });

  test("stream source: refuses what it cannot keep, a locked stream and reads past its ends", async () => {
    const stream = countedSource([]).stream;
    const tensor = { dtype: "U8", shape: [64 * MiB] } as const;
    for (const replayBytes of [8 * MiB - 1, 0, 1e9 + 0.5, Number.NaN, Infinity]) {
      assert.throws(() => new StreamSource(stream, tensor, { replayBytes }), RangeError, /8388608/);
    }
    assert.throws(() => new StreamSource(stream, { dtype: "U8", shape: [-1] }), RangeError);
    const source = new StreamSource(stream, tensor, { replayBytes: 8 * MiB });
    assert.throws(() => new StreamSource(stream, tensor), TypeError, /locked/);
    for (const [at, length] of [
      [-1, 2],
      [64 * MiB, 1],
      [Number.NaN, 1],
    ] as const) {
      await assertRejects(() => bytesAt(source, at, length), RangeError, /were asked for/);
    }
    await assertRejects(() => bytesAt(source, 1, 8 * MiB), RangeError, /holds 8 leaves/);
  });

  test("stream source: its version is random, or the one that was given", async () => {
    const tensor = { dtype: "U8", shape: [1] } as const;
    const one = new StreamSource(countedSource([]).stream, tensor);
    const other = new StreamSource(countedSource([]).stream, tensor);
    assert.deepEqual(await one.version(), await one.version());
    assert.notDeepEqual(await one.version(), await other.version());
    const version = Uint8Array.of(7);
    const given = new StreamSource(countedSource([]).stream, tensor, { version });
    assert.deepEqual(await given.version(), version);
  });

  test("stream source: cost is linear in bytes and in slices", async () => {
    const cost = async (byteLength: number, sliceBytes: number) => {
      const bytes = new Uint8Array(byteLength);
      const work = await countWork(async () => {
        const { source } = counted(bytes, sliceBytes);
        const into = new Uint8Array(4 * KiB);
        for (let at = 0; at < byteLength; at += into.byteLength) await source.read(at, into);
      });
      return totalWork(work);
    };
    const sizes = [1, 2, 4, 8].map((n) => n * MiB);
    assert.isBelow(await costExponent((n) => cost(n, 4 * KiB), sizes), 1.1);
    const counts = [256, 1024, 4096, 16_384];
    assert.isBelow(await costExponent((n) => cost(MiB, MiB / n), counts), 1.1);
    const work = await countWork(async () => {
      const { source } = counted(new Uint8Array(4 * MiB), 10_000);
      for (let leaf = 0; leaf < 4; leaf++) await bytesAt(source, leaf * MiB, MiB);
    });
    assert.equal(work.copiedBytes, 2 * 4 * MiB, "a byte is copied as it comes, and as it is read");
  });

  test("stream source: a peer sends it as it sends any tensor", async () => {
    const [here, there] = connectionPair();
    let sink: MemorySink | undefined;
    const accept = async (_: unknown, descriptor: TensorDescriptor) => {
      sink = new MemorySink(descriptor);
      return sink;
    };
    await using _receiver = new TensorPeer(there, { accepted: true, sinks: { accept } });
    await using sender = new TensorPeer(here);
    const { source } = counted(content, 50_000);
    const address = { model: "m", partition: "p", tensor: "t" };
    await sender.streamTensor(address, source).done;
    assert.isTrue(sameBytes(sink?.bytes ?? new Uint8Array(), content));
    await source.close();
  });

  test("stream source: takes the place of an older tensor, however much longer than its buffer", async () => {
    const address = { model: "m", partition: "p", tensor: "t" };
    const [near, far] = connectionPair();
    const sinks = new MemoryStore();
    const server = new TensorPeer(far, { sinks, accepted: true, codecs: [] });
    const client = new TensorPeer(near, { codecs: [] });
    const older = patterned(20 * MiB);
    await client.streamTensor(address, older).done;
    const newer = older.slice().fill(1, MiB, 2 * MiB);
    const options = { dtype: "U8", shape: [newer.byteLength], replayBytes: 8 * MiB } as const;
    await client.streamTensor(address, new Blob([newer]).stream(), options).done;
    assert.isTrue(sameBytes(sinks.get(address)?.bytes ?? new Uint8Array(), newer));
    await client.close();
    await server.close();
  });

  test("stream source: one whose stream stands still holds up no other transfer", async () => {
    const [here, there] = connectionPair();
    const sinks = new MemoryStore();
    await using _receiver = new TensorPeer(there, { accepted: true, sinks });
    await using sender = new TensorPeer(here);
    const address = (tensor: string) => ({ model: "m", partition: "p", tensor });
    // Each gives its first half and then nothing, for as long as anybody waits.
    const standing = [3 * MiB, 3 * MiB, 3 * MiB, 4 * KiB, 4 * KiB].map((byteLength, n) => {
      const stream = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(content.subarray(0, byteLength / 2)),
      });
      const shape = n === 0 ? [Infinity] : [byteLength];
      const tensor = { dtype: "U8", shape, openEnded: n === 0 } as const;
      const source = new StreamSource(stream, tensor);
      return { source, push: sender.streamTensor(address(`standing ${n}`), source) };
    });
    await turns(200);
    await sender.streamTensor(address("large"), content).done;
    await sender.streamTensor(address("small"), leafOf(0).subarray(0, 100)).done;
    assert.isTrue(sameBytes(sinks.get(address("large"))?.bytes ?? new Uint8Array(), content));
    for (const { source, push } of standing) {
      assert.equal(push.status, "in_progress");
      push.cancel();
      await push.done.catch(() => {});
      await source.close();
    }
  });

  test("stream source: a leaf is sent again while the stream stands still", async () => {
    const [here, there] = connectionPair();
    const sinks = new MemoryStore();
    await using _receiver = new TensorPeer(damagedConnection(there, [0.5 * MiB]), {
      accepted: true,
      sinks,
    });
    await using sender = new TensorPeer(here);
    const { promise: goOn, resolve } = deferred<void>();
    let given = 0;
    const stream = new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          // The rest comes only when the first leaf is safe at the other end.
          if (given === 1) await goOn;
          controller.enqueue(leafOf(given++));
          if (given === 3) controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    const source = new StreamSource(stream, { dtype: "U8", shape: [3 * MiB] });
    const address = { model: "m", partition: "p", tensor: "t" };
    const push = sender.streamTensor(address, source);
    const watched = push.watch({ intervalMs: 1 }).getReader();
    for (let next = await watched.read(); !next.done; next = await watched.read()) {
      if (next.value.wireBytes >= 2 * MiB) resolve();
    }
    await push.done;
    const bytes = sinks.get(address)?.bytes ?? new Uint8Array();
    assert.isTrue(sameBytes(bytes, content.subarray(0, 3 * MiB)));
  });
};
