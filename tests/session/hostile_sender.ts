import { assert } from "chai";
import { type HeadraceError, IntegrityError, LimitError, ProtocolError } from "../../lib/errors.ts";
import { sha256 } from "../../lib/platform/sha256.ts";
import { DEFAULT_RETRY_POLICY } from "../../lib/retry.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import type { Transfer } from "../../lib/session/transfer.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import { tensorRoot } from "../../lib/tensor/root.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import { decodeChecked, decodeMessage, encodeChecked } from "../../lib/wire/control.ts";
import { FLAG_AGAIN, FLAG_LAST, FLAG_QUERY, FRAME } from "../../lib/wire/frame_header.ts";
import type { Offer } from "../../lib/wire/messages.ts";
import { decodeNumber, decodeRanges, encodeDigestPage, encodeProof } from "../../lib/wire/pages.ts";
import { requestShape } from "../../lib/wire/request_shapes.ts";
import { xxh32 } from "../../lib/wire/xxh32.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { sameBytes } from "../streams/support.ts";
import { turn } from "../transports/conformance.ts";
import { RawPeer } from "./support/raw_peer.ts";
import { LEAF, TestSink, tensorBytes, WEIGHTS } from "./support/tensors.ts";

const LEAVES = 20;
const MOST_REFETCHES = DEFAULT_RETRY_POLICY.maxRetries as number;
const BYTES = tensorBytes(LEAVES * LEAF);
const leafAt = (index: number) => BYTES.subarray(index * LEAF, (index + 1) * LEAF);

/** A receiver that has asked for the tensor, and the sender who says what the test tells it to. */
interface Scene {
  readonly raw: RawPeer;
  readonly transfer: Transfer;
  readonly sink: () => TestSink;
  readonly stream: number;
  readonly offer: Offer;
  digests(first: number, ...digests: Uint8Array[]): Promise<void>;
  leaf(index: number, flags?: number): Promise<void>;
  complete(root?: Uint8Array, chunks?: number): Promise<void>;
  end(): Promise<void>;
}

async function scene(
  byteLength = BYTES.byteLength,
  offered: Partial<Offer> = {},
  onSink: (sink: TestSink) => void = () => {},
): Promise<Scene> {
  const [near, far] = connectionPair();
  const client = new TensorPeer(near);
  client.closed.catch(() => {});
  const raw = new RawPeer(far);
  let sink: TestSink | undefined;
  const into = (offer: Offer) => {
    sink = new TestSink(offer.descriptor);
    onSink(sink);
    return sink;
  };
  const transfer = client.requestTensor(WEIGHTS, { into, digest: offered.digest ?? "sha256" });
  transfer.done.catch(() => {});
  await raw.greet();
  const frame = await raw.next(FRAME.request);
  const { stream } = frame.header;
  const request = decodeMessage(requestShape, frame.header, frame.payload);
  const offer: Offer = {
    id: request.id,
    epoch: request.epoch,
    address: WEIGHTS,
    descriptor: createDescriptor("U8", [byteLength]),
    version: Uint8Array.of(1),
    priority: 50,
    digest: "sha256",
    codecs: [],
    chunkBytes: LEAF,
    ...offered,
  };
  await raw.message("offer", stream, offer);
  const digests = (firstLeaf: number, ...pages: Uint8Array[]) =>
    raw.send(encodeChecked(FRAME.digests, stream, encodeDigestPage({ firstLeaf, digests: pages })));
  return {
    raw,
    transfer,
    sink: () => sink as TestSink,
    stream,
    offer,
    digests,
    leaf: async (index, flags = 0) => {
      await digests(index, await sha256([leafAt(index)]));
      const bytes = leafAt(index);
      await raw.chunk(stream, index * LEAF, bytes, xxh32(bytes), flags);
    },
    complete: (root, chunks = raw.chunksSent) => {
      const { version } = offer;
      return raw.message("complete", stream, {
        byteLength,
        version,
        chunks,
        ...(root && { root }),
      });
    },
    end: async () => {
      raw.close();
      await client.close();
    },
  };
}

async function rootOf(descriptor: Offer["descriptor"], leaves: number): Promise<Uint8Array> {
  const digests = [];
  for (let index = 0; index < leaves; index++) digests.push(await sha256([leafAt(index)]));
  return tensorRoot(descriptor, digests, sha256);
}

/** The transfer fails so at this end, and the other is told. */
async function assertCutOff<E extends HeadraceError>(
  { raw, transfer, sink, end }: Scene,
  kind: abstract new (...args: never[]) => E,
  message: RegExp,
): Promise<void> {
  await assertRejects(() => transfer.done, kind, message);
  const fault = await raw.fault();
  assert.match(fault.message, message);
  await raw.ended.catch(() => {});
  assert.isAtMost(sink()?.released ?? 1, 1);
  assert.equal(sink()?.committed_ ?? 0, 0);
  await end();
}

export const hostileSenderSuite: Suite = ({ test }) => {
  test("receiving: a chunk past the credit cuts the sender off before memory is taken", async () => {
    const one = await scene();
    await one.raw.nextMessage("accept");
    await one.raw.chunk(one.stream, 15 * LEAF, leafAt(15));
    await assertCutOff(one, ProtocolError, /past its credit/);
  });

  test("receiving: a chunk before the offer was accepted cuts the sender off", async () => {
    const one = await scene();
    // The sink is opened in between, so this is on its way before the answer can be.
    await one.raw.chunk(one.stream, 0, leafAt(0));
    await assertRejects(
      () => one.transfer.done,
      ProtocolError,
      /before its offer was accepted|without its digest/,
    );
    await one.end();
  });

  test("receiving: a leaf that is whole is not written again while it is being stored", async () => {
    let go: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    const one = await scene(2 * LEAF, {}, (sink) => {
      sink.onWrite = () => held;
    });
    await one.raw.nextMessage("accept");
    await one.leaf(0);
    await one.raw.chunk(one.stream, 0, new Uint8Array(1024));
    await assertRejects(() => one.transfer.done.finally(go), ProtocolError, /here already/);
    await one.end();
  });

  test("receiving: a leaf that is safe is not taken again, nor any part of it", async () => {
    for (const again of [leafAt(0), leafAt(0).subarray(0, 1024)]) {
      const one = await scene();
      await one.raw.nextMessage("accept");
      for (const index of [0, 1, 2]) await one.leaf(index);
      await one.raw.next(FRAME.ack);
      await one.raw.chunk(one.stream, 0, again);
      await assertCutOff(one, ProtocolError, /here already/);
    }
  });

  test("receiving: a gap within a leaf cuts the sender off", async () => {
    const one = await scene();
    await one.raw.nextMessage("accept");
    await one.raw.chunk(one.stream, 0, leafAt(0).subarray(0, 1024));
    await one.raw.chunk(one.stream, 4096, leafAt(0).subarray(4096, 8192));
    await assertCutOff(one, ProtocolError, /byte 1024 of leaf 0 was next/);
  });

  test("receiving: chunks that cannot be are refused: too long, over a leaf's edge, past the end", async () => {
    const cases: [number, number, RegExp][] = [
      [0, 2 * LEAF, /at most 1048576 bytes were offered/],
      [LEAF / 2, LEAF, /a part of a leaf beside another/],
      [(LEAVES - 1) * LEAF, LEAF + 1, /ends after the tensor/],
    ];
    for (const [at, length, message] of cases) {
      const one = await scene();
      await one.raw.nextMessage("accept");
      await one.raw.chunk(one.stream, at, new Uint8Array(length));
      await assertCutOff(one, ProtocolError, message);
    }
  });

  test("receiving: digests outside the tensor, unasked answers and early ones are refused", async () => {
    const one = await scene();
    await one.raw.nextMessage("accept");
    await one.digests(LEAVES, new Uint8Array(32));
    await assertCutOff(one, ProtocolError, /digest of leaf 20/);
    const two = await scene();
    await two.raw.nextMessage("accept");
    const body = encodeDigestPage({ firstLeaf: 0, digests: [new Uint8Array(32)] });
    await two.raw.send(encodeChecked(FRAME.digests, two.stream, body, FLAG_QUERY | FLAG_LAST));
    await assertCutOff(two, ProtocolError, /without a query/);
  });

  test("receiving: digests far ahead of the credit, or where there are to be none, are refused", async () => {
    const long = await scene(400 * LEAF);
    const { limit } = await long.raw.nextMessage("accept");
    const end = limit / LEAF + 64;
    await long.digests(end - 2, new Uint8Array(32), new Uint8Array(32));
    await long.digests(end - 1, new Uint8Array(32), new Uint8Array(32));
    await assertCutOff(
      long,
      ProtocolError,
      new RegExp(`digest of leaf ${end}, which is not on its`),
    );
    const unhashed = await scene(LEAF, { digest: "none" });
    await unhashed.raw.nextMessage("accept");
    await unhashed.digests(0, new Uint8Array(32));
    await assertCutOff(unhashed, ProtocolError, /digest of leaf 0, which is not on its way/);
  });

  test("receiving: a leaf that is wrong again and again ends only the attempt, also while a root is mended", async () => {
    const one = await scene(LEAVES * LEAF, {}, (sink) => {
      // Stored later than it came: that it is safe is told from a turn of its own.
      sink.onWrite = () => turn();
    });
    const { raw, stream } = one;
    let { limit } = await raw.nextMessage("accept");
    const wrong = LEAVES - 5;
    for (let index = 0; index < LEAVES; index++) {
      while ((index + 1) * LEAF > limit) {
        const { header, payload } = await raw.next(FRAME.credit);
        if (header.stream === stream) limit = decodeNumber(decodeChecked(header, payload));
      }
      if (index !== wrong) await one.leaf(index);
      for (let times = 0; index === wrong && times < MOST_REFETCHES; times++) {
        const flags = times === 0 ? 0 : FLAG_AGAIN;
        await one.digests(index, new Uint8Array(32));
        await raw.chunk(stream, index * LEAF, leafAt(index), xxh32(leafAt(index)), flags);
        await raw.next(FRAME.refetch);
      }
      if (index === wrong) await one.leaf(index, FLAG_AGAIN);
    }
    await one.complete(new Uint8Array(32));
    await raw.next(FRAME.have);
    const none = encodeDigestPage({ firstLeaf: 0, digests: [] });
    await raw.send(encodeChecked(FRAME.digests, stream, none, FLAG_QUERY | FLAG_LAST));
    // All are wanted again then, a few at a time, and one of them has been asked for too often.
    const answer = async () => {
      for (;;) {
        const body = await raw.nextBody(FRAME.refetch);
        for (const { first, count } of decodeRanges(body, LEAVES)) {
          for (let index = first; index < first + count; index++) await one.leaf(index, FLAG_AGAIN);
        }
      }
    };
    answer().catch(() => {});
    await assertRejects(() => one.transfer.done, IntegrityError, /again and again/);
    await one.end();
  });

  test("receiving: of leaves that were asked about nothing else is heard", async () => {
    const one = await scene(4 * LEAF, {}, (sink) => {
      sink.held = async () => ({
        version: Uint8Array.of(9),
        leaves: [{ index: 2, digest: new Uint8Array(32).fill(2) }],
      });
    });
    await one.raw.next(FRAME.have);
    const digests = [new Uint8Array(32), new Uint8Array(32)];
    const page = encodeDigestPage({ firstLeaf: 2, digests });
    await one.raw.send(encodeChecked(FRAME.digests, one.stream, page, FLAG_QUERY | FLAG_LAST));
    await assertCutOff(one, ProtocolError, /leaf 3, which nobody asked for/);
  });

  test("receiving: a proof that nobody asked for is refused", async () => {
    const one = await scene();
    await one.raw.nextMessage("accept");
    const proof = encodeProof({ first: 0, count: 1, hashes: new Uint8Array(32) });
    await one.raw.send(encodeChecked(FRAME.proof, one.stream, proof));
    await assertCutOff(one, ProtocolError, /nobody asked it to/);
  });

  test("receiving: a last word that does not fit what came is refused", async () => {
    const fewer = await scene(2 * LEAF);
    await fewer.raw.nextMessage("accept");
    for (const index of [0, 1]) await fewer.leaf(index);
    await fewer.complete(new Uint8Array(32), 1);
    await assertCutOff(fewer, ProtocolError, /says it sent 1 chunks; 2 have come/);
    const rootless = await scene(LEAF);
    await rootless.raw.nextMessage("accept");
    await rootless.leaf(0);
    await rootless.complete();
    await assertCutOff(rootless, ProtocolError, /ends a transfer without a root/);
    const rooted = await scene(LEAF, { digest: "none" });
    await rooted.raw.nextMessage("accept");
    await rooted.raw.chunk(rooted.stream, 0, leafAt(0), xxh32(leafAt(0)));
    await rooted.complete(new Uint8Array(32));
    await assertCutOff(rooted, ProtocolError, /ends a transfer with a root/);
  });

  test("receiving: a leaf without its digest is refused", async () => {
    const one = await scene();
    await one.raw.nextMessage("accept");
    await one.raw.chunk(one.stream, 0, leafAt(0));
    await assertCutOff(one, ProtocolError, /without its digest/);
  });

  test("receiving: COMPLETE before everything came, or within a leaf, is refused", async () => {
    const one = await scene();
    await one.raw.nextMessage("accept");
    await one.leaf(0);
    await one.complete(new Uint8Array(32));
    await assertCutOff(one, ProtocolError, /leaf 1 never came|leaf 0 never came/);
    const two = await scene(LEAF);
    await two.raw.nextMessage("accept");
    await two.raw.chunk(two.stream, 0, leafAt(0).subarray(0, 4096));
    await two.complete(new Uint8Array(32));
    await assertCutOff(two, ProtocolError, /leaf 0 never came/);
  });

  test("receiving: a second offer and a second COMPLETE are refused", async () => {
    const one = await scene();
    await one.raw.message("offer", one.stream, one.offer);
    await assertCutOff(one, ProtocolError, /offered twice/);
    const two = await scene(LEAF, {}, (sink) => {
      sink.commit = () => new Promise(() => {});
    });
    await two.raw.nextMessage("accept");
    await two.leaf(0);
    const root = await rootOf(two.offer.descriptor, 1);
    await two.complete(root);
    await two.complete(root);
    const fault = await two.raw.fault();
    assert.match(fault.message, /twice that it is done|busy/);
    await two.end();
  });

  test("receiving: an offer over the caps is refused before a sink is opened", async () => {
    const huge = 2 * 1024 ** 4;
    const one = await scene(huge);
    await assertRejects(() => one.transfer.done, LimitError, /at most 1099511627776 are taken/);
    assert.isUndefined(one.sink());
    await one.end();
    const two = await scene(LEAF, { chunkBytes: 65 * LEAF });
    await assertRejects(() => two.transfer.done, ProtocolError, /chunks of 68157440 bytes/);
    await two.end();
  });

  test("receiving: an offer of another tensor or transfer is refused", async () => {
    for (const other of [{ id: new Uint8Array(16) }, { address: { ...WEIGHTS, tensor: "x" } }]) {
      const one = await scene(LEAF, other);
      await assertRejects(() => one.transfer.done, ProtocolError, /something else than m/);
      assert.isUndefined(one.sink());
      await one.end();
    }
  });

  test("receiving: a damaged chunk is asked for again by itself, and what follows it is not lost", async () => {
    const one = await scene(3 * LEAF);
    await one.raw.nextMessage("accept");
    await one.digests(0, await sha256([leafAt(0)]));
    await one.raw.chunk(one.stream, 0, new Uint8Array(4096).fill(7));
    await one.raw.chunk(one.stream, 4096, leafAt(0).subarray(4096));
    await one.leaf(1);
    await one.leaf(2);
    const asked = decodeRanges(await one.raw.nextBody(FRAME.refetch), 3);
    assert.deepEqual(asked, [{ first: 0, count: 1 }]);
    const root = await rootOf(one.offer.descriptor, 3);
    await one.complete(root); // said before the request was heard: another one follows
    await one.leaf(0, FLAG_AGAIN);
    await one.complete(root);
    await one.transfer.done;
    assert.isTrue(sameBytes(one.sink().bytes, BYTES.subarray(0, 3 * LEAF)));
    assert.sameMembers(one.sink().written, [0, 1, 2]);
    await one.end();
  });

  test("receiving: a leaf that stays damaged is asked for again a bounded number of times", async () => {
    // Without digests the checksum tells; with them the digest does, which sees all of the leaf.
    for (const digest of ["none", "sha256"] as const) {
      const one = await scene(LEAF, { digest });
      await one.raw.nextMessage("accept");
      const sendDamaged = async (flags: number) => {
        if (digest === "sha256") await one.digests(0, new Uint8Array(32));
        const checksum = digest === "none" ? 1 : xxh32(leafAt(0));
        await one.raw.chunk(one.stream, 0, leafAt(0), checksum, flags);
      };
      for (let pass = 0; pass < 3; pass++) {
        await sendDamaged(pass === 0 ? 0 : FLAG_AGAIN);
        await one.raw.next(FRAME.refetch);
      }
      await sendDamaged(FLAG_AGAIN);
      const error = await assertRejects(() => one.transfer.done, IntegrityError, /again and again/);
      assert.equal(error.where, "transit");
      assert.equal(error.byteOffset, 0);
      assert.isFalse(error.retryable);
      assert.isEmpty(one.sink().written);
      await one.end();
    }
  });

  test("receiving: a chunk of several leaves repeats what is safe beside what was asked for", async () => {
    const one = await scene(4 * LEAF, { chunkBytes: 4 * LEAF });
    await one.raw.nextMessage("accept");
    const digests = [];
    for (let index = 0; index < 4; index++) digests.push(await sha256([leafAt(index)]));
    await one.digests(0, ...digests.map((digest, n) => (n === 2 ? new Uint8Array(32) : digest)));
    await one.raw.chunk(one.stream, 0, BYTES.subarray(0, 4 * LEAF));
    const asked = decodeRanges(await one.raw.nextBody(FRAME.refetch), 4);
    assert.deepEqual(asked, [{ first: 2, count: 1 }]);
    await one.digests(0, ...digests);
    const all = BYTES.subarray(0, 4 * LEAF);
    await one.raw.chunk(one.stream, 0, all, xxh32(all), FLAG_AGAIN);
    await one.complete(await rootOf(one.offer.descriptor, 4));
    await one.transfer.done;
    assert.deepEqual([...one.sink().written].sort(), [0, 1, 2, 3]);
    assert.isTrue(sameBytes(one.sink().bytes, BYTES.subarray(0, 4 * LEAF)));
    await one.end();
  });

  test("receiving: a root that stays wrong is mended at most twice, then an error at source", async () => {
    const one = await scene(2 * LEAF);
    await one.raw.nextMessage("accept");
    await one.leaf(0);
    await one.leaf(1);
    await one.complete(new Uint8Array(32));
    for (let mend = 0; mend < 2; mend++) {
      await one.raw.next(FRAME.have);
      const digests = [await sha256([leafAt(0)]), new Uint8Array(32).fill(mend + 1)];
      const page = encodeDigestPage({ firstLeaf: 0, digests });
      await one.raw.send(encodeChecked(FRAME.digests, one.stream, page, FLAG_QUERY | FLAG_LAST));
      const asked = decodeRanges(await one.raw.nextBody(FRAME.refetch), 2);
      assert.deepEqual(asked, [{ first: 1, count: 1 }]);
      await one.leaf(1, FLAG_AGAIN);
      await one.complete(new Uint8Array(32));
    }
    await one.raw.next(FRAME.have);
    const page = encodeDigestPage({ firstLeaf: 0, digests: [new Uint8Array(32)] });
    await one.raw.send(encodeChecked(FRAME.digests, one.stream, page, FLAG_QUERY | FLAG_LAST));
    const error = await assertRejects(
      () => one.transfer.done,
      IntegrityError,
      /does not have the root/,
    );
    assert.equal(error.where, "source");
    assert.equal(one.sink().committed_, 0);
    await one.end();
  });

  test("receiving: however much of a tensor is wrong, few leaves are asked for at a time", async () => {
    const one = await scene(LEAVES * LEAF);
    await one.raw.nextMessage("accept");
    for (let index = 0; index < LEAVES; index++) await one.leaf(index);
    await one.complete(new Uint8Array(32));
    await one.raw.next(FRAME.have);
    const digests = Array.from({ length: LEAVES }, () => new Uint8Array(32).fill(1));
    const page = encodeDigestPage({ firstLeaf: 0, digests });
    await one.raw.send(encodeChecked(FRAME.digests, one.stream, page, FLAG_QUERY | FLAG_LAST));
    const asked: number[] = [];
    const root = await rootOf(one.offer.descriptor, LEAVES);
    for (let sent = 0; sent < LEAVES; ) {
      while (asked.length < Math.min(LEAVES, sent + 4)) {
        for (const { first, count } of decodeRanges(
          await one.raw.nextBody(FRAME.refetch),
          LEAVES,
        )) {
          for (let n = 0; n < count; n++) asked.push(first + n);
        }
      }
      assert.isAtMost(asked.length - sent, 8);
      while (sent < asked.length) await one.leaf(asked[sent++] as number, FLAG_AGAIN);
      await one.complete(root); // void, but for the last
    }
    assert.deepEqual(
      asked,
      Array.from({ length: LEAVES }, (_, n) => n),
    );
    await one.transfer.done;
    assert.isTrue(sameBytes(one.sink().bytes, BYTES));
    await one.end();
  });

  test("receiving: a tensor without leaves and with a wrong root ends, too", async () => {
    const one = await scene(0);
    await one.raw.nextMessage("accept");
    await one.complete(new Uint8Array(32));
    await one.raw.next(FRAME.have);
    const page = encodeDigestPage({ firstLeaf: 0, digests: [] });
    await one.raw.send(encodeChecked(FRAME.digests, one.stream, page, FLAG_QUERY | FLAG_LAST));
    await assertRejects(() => one.transfer.done, IntegrityError, /does not have the root/);
    await one.end();
  });

  test("receiving: a version that is another at the end is an error at source", async () => {
    const one = await scene(LEAF);
    await one.raw.nextMessage("accept");
    await one.leaf(0);
    const root = await rootOf(one.offer.descriptor, 1);
    const complete = { byteLength: LEAF, version: Uint8Array.of(2), root, chunks: 1 };
    await one.raw.message("complete", one.stream, complete);
    const error = await assertRejects(() => one.transfer.done, IntegrityError, /changed while/);
    assert.equal(error.where, "source");
    await one.end();
  });
};
