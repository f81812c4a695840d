import { assert } from "chai";
import { HeadraceError, IntegrityError } from "../../lib/errors.ts";
import { sha256 } from "../../lib/platform/sha256.ts";
import {
  type FrameEncoderOptions,
  FrameEncoderStream,
} from "../../lib/streams/frame_encoder_stream.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import { costExponent, countWork, totalWork } from "../complexity.ts";
import type { Suite } from "../harness.ts";
import { toHex } from "../hex.ts";
import { assertRejects } from "../rejects.ts";
import {
  concat,
  type TransferVector,
  transferAddress,
  transferId,
  transfers,
  transferVersion,
} from "../wire/vectors.ts";
import { collect, countedSource, turns } from "./support.ts";

function optionsFor(vector: TransferVector): FrameEncoderOptions {
  return {
    address: transferAddress,
    descriptor: createDescriptor("U8", [vector.byteLength]),
    id: transferId,
    version: transferVersion,
    digest: vector.digest,
    fragmentBytes: vector.fragmentBytes,
  };
}

export const frameEncoderStreamSuite: Suite = ({ test }) => {
  test("frame encoder: whole transfers have the golden bytes, frame by frame", async () => {
    for (const vector of transfers) {
      const stage = new FrameEncoderStream(optionsFor(vector));
      const frames = await collect(countedSource(vector.chunks).stream.pipeThrough(stage));
      assert.deepEqual(frames.map(toHex), vector.frames.map(toHex));
      assert.equal(toHex(await sha256([concat(frames)])), vector.sha256);
    }
  });

  test("frame encoder: a tensor that is shorter or longer than promised fails at source", async () => {
    const [vector] = transfers as [TransferVector];
    for (const chunks of [
      vector.chunks.slice(1),
      [...vector.chunks, ...vector.chunks.slice(0, 1)],
    ]) {
      const stage = new FrameEncoderStream(optionsFor(vector));
      const frames = collect(countedSource(chunks).stream.pipeThrough(stage));
      const error = await assertRejects(() => frames, IntegrityError, /were promised/);
      assert.equal(error.where, "source");
    }
  });

  test("frame encoder: a chunk without checksum, of an unknown codec or without digests is misuse", async () => {
    const [vector] = transfers as [TransferVector];
    const send = (change: object) => {
      const chunks = vector.chunks.map((chunk) => ({ ...chunk, ...change }));
      const stage = new FrameEncoderStream(optionsFor(vector));
      return collect(countedSource(chunks).stream.pipeThrough(stage));
    };
    await assertRejects(() => send({ checksum: undefined }), TypeError, /ChecksumStream/);
    await assertRejects(() => send({ codec: "zstd" }), TypeError, /zstd/);
    await assertRejects(() => send({ leafDigests: [] }), RangeError, /leaves|digests/);
  });

  test("frame encoder: options that make frames nobody takes are refused at once", () => {
    const good = optionsFor(transfers[0] as TransferVector);
    const wrong: [change: Partial<FrameEncoderOptions>, kind: new () => Error][] = [
      [{ address: { ...transferAddress, tensor: "" } }, TypeError],
      [{ descriptor: { dtype: "F32", shape: [2], byteLength: 4 } }, RangeError],
      [{ id: new Uint8Array(15) }, RangeError],
      [{ version: new Uint8Array(33) }, RangeError],
      [{ priority: 256 }, RangeError],
      [{ fragmentBytes: 0 }, RangeError],
      [{ stream: 0 }, RangeError],
    ];
    for (const [change, kind] of wrong) {
      assert.throws(() => new FrameEncoderStream({ ...good, ...change }), kind);
    }
  });

  test("frame encoder: takes no more chunks than are read", async () => {
    const bytes = new Uint8Array(10);
    const chunks = Array.from({ length: 100 }, (_, n) => ({
      byteOffset: 10 * n,
      rawBytes: 10,
      bytes,
      codec: "none",
      checksum: 0,
    }));
    const descriptor = createDescriptor("U8", [1000]);
    const { stream, pulls } = countedSource(chunks);
    const options = { address: transferAddress, descriptor, digest: "none" } as const;
    const reader = stream.pipeThrough(new FrameEncoderStream(options)).getReader();
    for (let n = 0; n < 10; n++) await reader.read();
    await turns(200);
    assert.isAtMost(pulls(), 13);
    await reader.cancel();
  });

  test("frame encoder: cost is linear in bytes and in fragments", async () => {
    const cost = async (byteLength: number, fragmentBytes: number) => {
      const bytes = new Uint8Array(byteLength);
      const chunk = { byteOffset: 0, rawBytes: byteLength, bytes, codec: "none", checksum: 0 };
      const descriptor = createDescriptor("U8", [byteLength]);
      const options = {
        address: transferAddress,
        descriptor,
        digest: "none",
        fragmentBytes,
      } as const;
      const work = await countWork(async () => {
        const stage = new FrameEncoderStream(options);
        await collect(countedSource([chunk]).stream.pipeThrough(stage));
      });
      return totalWork(work);
    };
    const inBytes = await costExponent((n) => cost(n, 1000), [2e4, 4e4, 8e4, 16e4]);
    assert.isBelow(inBytes, 1.15, "bytes");
    const fragments = await costExponent((n) => cost(1e5, Math.ceil(1e5 / n)), [10, 40, 160, 640]);
    assert.isBelow(fragments, 1.15, "fragments");
  });

  test("frame encoder: what the source throws reaches the reader as it is", async () => {
    const failure = new HeadraceError("transport", "gone");
    const source = new ReadableStream({ start: (controller) => controller.error(failure) });
    const stage = new FrameEncoderStream(optionsFor(transfers[0] as TransferVector));
    const error = await assertRejects(
      () => collect(source.pipeThrough(stage)),
      HeadraceError,
      /gone/,
    );
    assert.equal(error, failure);
  });
};
