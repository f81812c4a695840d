import { assert } from "chai";
import fc from "fast-check";
import { CompressionGovernor, PROBE_BYTES } from "../../lib/codec/governor.ts";
import type { Suite } from "../harness.ts";

const MiB = 1024 * 1024;

/** What a link and a codec do to a byte. */
interface World {
  linkMsPerByte: number;
  codecMsPerByte: number;
  /** Compressed bytes for each raw one. */
  share: number;
}

/** Sends chunks one after the other, encoding and link in turn; how long that takes in all. */
function simulate(world: (chunk: number) => World, chunks: number, governor?: CompressionGovernor) {
  const spent = { totalMs: 0, probeMs: 0, compressed: 0, switches: 0 };
  let before = false;
  for (let i = 0; i < chunks; i++) {
    const { linkMsPerByte, codecMsPerByte, share } = world(i);
    const encodeMs = (bytes: number) => bytes * codecMsPerByte;
    const advice = governor?.advise() ?? "raw";
    let isCompressed = advice === "compress";
    if (advice === "probe") {
      const elapsedMs = encodeMs(PROBE_BYTES);
      spent.probeMs += elapsedMs;
      spent.totalMs += elapsedMs;
      isCompressed = governor?.probed(PROBE_BYTES, PROBE_BYTES * share, elapsedMs) ?? false;
    }
    if (isCompressed) {
      spent.compressed++;
      spent.totalMs += encodeMs(MiB);
      governor?.encoded(MiB, MiB * share, encodeMs(MiB));
    }
    if (isCompressed !== before) spent.switches++;
    before = isCompressed;
    const sent = isCompressed ? MiB * Math.min(1, share) : MiB;
    spent.totalMs += sent * linkMsPerByte;
    governor?.drained(sent, sent * linkMsPerByte);
  }
  return spent;
}

const msPerByteAt = (bitsPerSecond: number) => 8000 / bitsPerSecond;
const cost = ({ linkMsPerByte, codecMsPerByte, share }: World, isCompressed: boolean) =>
  MiB * (isCompressed ? codecMsPerByte + Math.min(1, share) * linkMsPerByte : linkMsPerByte);

const anyWorld: fc.Arbitrary<World> = fc.record({
  // 1 Mbit/s to 100 Gbit/s, and codecs from 5 MB/s to 5 GB/s, evenly over their powers.
  linkMsPerByte: fc
    .double({ min: 6, max: 11, noNaN: true })
    .map((power) => msPerByteAt(10 ** power)),
  codecMsPerByte: fc.double({ min: 6.7, max: 9.7, noNaN: true }).map((power) => 1000 / 10 ** power),
  share: fc.double({ min: 0.05, max: 1.06, noNaN: true }),
});

export const governorSuite: Suite = ({ test }) => {
  test("governor: on any link, with any codec, it is within 5 % of the better of always and never", () => {
    fc.assert(
      fc.property(anyWorld, (world) => {
        const chunks = 2000;
        const best = chunks * Math.min(cost(world, true), cost(world, false));
        const { totalMs } = simulate(() => world, chunks, new CompressionGovernor());
        // Besides: 66 ms and a chunk or two until a first probe is within its share, and that probe.
        const probeMs = PROBE_BYTES * world.codecMsPerByte;
        const learningMs = 66 + 2 * cost(world, false) + probeMs;
        assert.isAtMost(totalMs, 1.05 * best + learningMs);
      }),
      { numRuns: 500 },
    );
  });

  test("governor: where raw is better it costs at most 2 %, from the first chunk on", () => {
    fc.assert(
      fc.property(anyWorld, fc.integer({ min: 1, max: 300 }), (world, chunks) => {
        fc.pre(cost(world, true) >= cost(world, false));
        const { totalMs, compressed } = simulate(() => world, chunks, new CompressionGovernor());
        assert.equal(compressed, 0);
        // A first probe of a codec slower than 100 MB/s is the only thing that can exceed its share.
        const surpriseMs = PROBE_BYTES * Math.max(0, world.codecMsPerByte - 1 / 100_000);
        assert.isAtMost(totalMs, 1.02 * chunks * cost(world, false) + surpriseMs);
      }),
      { numRuns: 500 },
    );
  });

  test("governor: begins raw, and compresses from the second chunk on a slow link", () => {
    const world = { linkMsPerByte: msPerByteAt(10e6), codecMsPerByte: 1 / 100_000, share: 0.6 };
    const governor = new CompressionGovernor();
    assert.equal(governor.advise(), "raw");
    assert.equal(simulate(() => world, 100, governor).compressed, 99);
  });

  test("governor: follows a link that changes and data that changes", () => {
    const slow = { linkMsPerByte: msPerByteAt(50e6), codecMsPerByte: 1 / 120_000, share: 0.6 };
    const fast = { ...slow, linkMsPerByte: msPerByteAt(20e9) };
    const flat = { ...slow, share: 1 };
    for (const other of [fast, flat]) {
      const governor = new CompressionGovernor();
      assert.isAbove(simulate(() => slow, 200, governor).compressed, 190);
      assert.isBelow(simulate(() => other, 400, governor).compressed, 30);
      assert.isAbove(simulate(() => slow, 400, governor).compressed, 300);
    }
  });

  test("governor: does not flutter where both ways take as long, whatever the noise", () => {
    // At equal cost: encode = raw - share * raw.
    const linkMsPerByte = msPerByteAt(300e6);
    const even = { linkMsPerByte, codecMsPerByte: linkMsPerByte * 0.4, share: 0.6 };
    const noisy = (i: number) => ({
      ...even,
      linkMsPerByte: linkMsPerByte * (1 + 0.1 * Math.sin(i * 12.9898)),
    });
    assert.isBelow(simulate(noisy, 2000, new CompressionGovernor()).switches, 40);
  });

  test("governor: a link that takes no time is never kept waiting", () => {
    const governor = new CompressionGovernor();
    for (let i = 0; i < 1000; i++) {
      assert.equal(governor.advise(), "raw");
      governor.drained(MiB, 0);
    }
  });
};
