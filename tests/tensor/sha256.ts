import { assert } from "chai";
import fc from "fast-check";
import {
  createNodeSha256,
  createWebSha256,
  joinParts,
  portableSha256,
  type Sha256,
  sha256,
} from "../../lib/platform/sha256.ts";
import type { Suite } from "../harness.ts";
import { toHex } from "../hex.ts";

/** Messages and digests of FIPS 180-4's examples, and the empty message. */
const KNOWN: readonly [string, string][] = [
  ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
  ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  [
    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
  ],
  ["a".repeat(1_000_000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"],
];

/** Every implementation that this runtime has; the portable one it always has. */
function implementations(): [string, Sha256][] {
  const found: [string, Sha256 | undefined][] = [
    ["node:crypto", createNodeSha256()],
    ["WebCrypto", createWebSha256()],
    ["portable", portableSha256],
    ["default", sha256],
  ];
  return found.filter((each): each is [string, Sha256] => each[1] !== undefined);
}

/** The bytes as views: `cuts` fall where they like, `scattered` puts every part into a buffer of its own. */
function cut(bytes: Uint8Array, cuts: readonly number[], scattered: boolean): Uint8Array[] {
  const edges = [0, ...cuts.map((at) => at % (bytes.byteLength + 1)), bytes.byteLength];
  edges.sort((a, b) => a - b);
  const views = edges.slice(1).map((end, place) => bytes.subarray(edges[place], end));
  return scattered ? views.map((view) => view.slice()) : views;
}

export const sha256Suite: Suite = ({ test }) => {
  test("sha256: known vectors, by every implementation of the runtime", async () => {
    for (const [name, hash] of implementations()) {
      for (const [message, digest] of KNOWN) {
        const bytes = new TextEncoder().encode(message);
        assert.equal(toHex(await hash([bytes])), digest, name);
        assert.equal(toHex(await hash(cut(bytes, [1, 2, 500], true))), digest, name);
      }
      assert.equal(toHex(await hash([])), KNOWN[0]?.[1], name);
    }
  });

  test("sha256: parts hash as their concatenation, however they are cut", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 300 }),
        fc.array(fc.nat(), { maxLength: 5 }),
        fc.boolean(),
        async (bytes, cuts, scattered) => {
          const wanted = toHex(await portableSha256([bytes]));
          for (const [name, hash] of implementations()) {
            assert.equal(toHex(await hash(cut(bytes, cuts, scattered))), wanted, name);
          }
        },
      ),
    );
  });

  test("sha256: views of shared and of resizable memory hash like any other", async () => {
    const wanted = toHex(await portableSha256([new Uint8Array(64).fill(3)]));
    const shared = new Uint8Array(new SharedArrayBuffer(80), 8, 64).fill(3);
    const resizable = new Uint8Array(new ArrayBuffer(80, { maxByteLength: 160 }), 8, 64).fill(3);
    for (const [name, hash] of implementations()) {
      for (const view of [shared, resizable]) {
        assert.equal(toHex(await hash([view])), wanted, name);
        assert.equal(toHex(await hash([view.subarray(0, 9), view.subarray(9)])), wanted, name);
      }
    }
  });

  test("sha256: a digest is a plain Uint8Array over memory of its own", async () => {
    for (const [name, hash] of implementations()) {
      const digest = await hash([Uint8Array.of(1)]);
      assert.equal(Object.getPrototypeOf(digest), Uint8Array.prototype, name);
      assert.equal(digest.buffer.byteLength, 32, name);
    }
  });

  test("sha256: by default synchronous wherever node:crypto is there", () => {
    const digest = sha256([Uint8Array.of(1)]);
    assert.equal(digest instanceof Uint8Array, createNodeSha256() !== undefined);
  });

  test("sha256: adjacent views are joined without a copy, all others by one", () => {
    const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
    const joined = joinParts([
      bytes.subarray(10, 20),
      new Uint8Array(0),
      bytes.subarray(20, 21),
      bytes.subarray(21, 60),
    ]);
    assert.equal(joined.buffer, bytes.buffer);
    assert.deepEqual(joined, bytes.subarray(10, 60));

    const gap = joinParts([bytes.subarray(10, 20), bytes.subarray(21, 30)]);
    assert.notEqual(gap.buffer, bytes.buffer);
    assert.deepEqual([...gap], [...bytes.subarray(10, 20), ...bytes.subarray(21, 30)]);
    const backwards = joinParts([bytes.subarray(1, 2), bytes.subarray(0, 1)]);
    assert.deepEqual([...backwards], [1, 0]);

    const shared = new Uint8Array(new SharedArrayBuffer(4)).fill(7);
    assert.instanceOf(joinParts([shared]).buffer, ArrayBuffer);
  });
};
