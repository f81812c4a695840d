import { assert } from "chai";
import { IntegrityError } from "../../lib/errors.ts";
import { BlobSource } from "../../lib/session/blob_source.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { patterned, sameBytes } from "../streams/support.ts";

const content = new Uint8Array(patterned(3_000_000));
const TENSOR = { dtype: "U8", shape: [3, 1_000_000] } as const;

async function bytesAt(source: BlobSource, byteOffset: number, length: number) {
  const into = new Uint8Array(length);
  await source.read(byteOffset, into);
  return into;
}

export const blobSourceSuite: Suite = ({ test }) => {
  test("blob source: gives any part of the blob, any number of times", async () => {
    const source = new BlobSource(
      new Blob([content.subarray(0, 999), content.subarray(999)]),
      TENSOR,
    );
    assert.deepEqual(source.descriptor, { ...TENSOR, byteLength: 3_000_000 });
    for (const [at, length] of [
      [2_000_000, 1_000_000],
      [900, 200],
      [0, 3_000_000],
      [3_000_000, 0],
    ] as const) {
      const part = await bytesAt(source, at, length);
      assert.isTrue(sameBytes(part, content.subarray(at, at + length)));
      assert.isTrue(sameBytes(await source.lend(at, length), part));
    }
  });

  test("blob source: a file's version is the same again as long as the file is", async () => {
    const file = (name: string, size = 4, lastModified = 1, type = "a/b") =>
      new BlobSource(new File([new Uint8Array(size)], name, { lastModified, type }), {
        dtype: "U8",
        shape: [size],
      });
    const version = await file("w").version();
    assert.isAtMost(version.byteLength, 32);
    assert.deepEqual(await file("w").version(), version);
    for (const other of [file("v"), file("w", 5), file("w", 4, 2), file("w", 4, 1, "c/d")]) {
      assert.notDeepEqual(await other.version(), version);
    }
  });

  test("blob source: a blob's version is random, or the one that was given", async () => {
    const blob = new Blob([content]);
    const source = new BlobSource(blob, TENSOR);
    assert.deepEqual(await source.version(), await source.version());
    assert.notDeepEqual(await source.version(), await new BlobSource(blob, TENSOR).version());
    const version = Uint8Array.of(1);
    assert.deepEqual(await new BlobSource(blob, TENSOR, version).version(), version);
    const file = new File([content], "w");
    assert.deepEqual(await new BlobSource(file, TENSOR, version).version(), version);
  });

  test("blob source: bytes that are not there any more are wrong at their source", async () => {
    const source = new BlobSource(new Blob([content]), TENSOR);
    const short = await assertRejects(
      () => bytesAt(source, 2_999_999, 2),
      IntegrityError,
      /2999999 to 3000001.* found 1 bytes/,
    );
    assert.deepInclude(short, { where: "source", retryable: false, byteOffset: 2_999_999 });
    const gone = new DOMException("changed", "NotReadableError");
    const blob = new Blob([content]);
    blob.slice = () => ({ arrayBuffer: () => Promise.reject(gone) }) as unknown as Blob;
    const error = await assertRejects(
      () => bytesAt(new BlobSource(blob, TENSOR), 0, 1),
      IntegrityError,
      /Cannot read bytes 0 to 1/,
    );
    assert.equal(error.cause, gone);
    assert.isFalse(error.retryable);
  });

  test("blob source: refuses a shape that does not take the blob's bytes", () => {
    const wrong = () => new BlobSource(new Blob([content]), { dtype: "F32", shape: [3] });
    assert.throws(wrong, RangeError, /takes 12 bytes, but 3000000/);
  });
};
