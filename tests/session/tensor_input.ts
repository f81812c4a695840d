import { assert } from "chai";
import { BlobSource } from "../../lib/session/blob_source.ts";
import { ByteSource } from "../../lib/session/byte_source.ts";
import { StreamSource } from "../../lib/session/stream_source.ts";
import {
  sourceOf,
  type TensorInput,
  type TensorInputOptions,
} from "../../lib/session/tensor_input.ts";
import type { TensorSource } from "../../lib/tensor/source.ts";
import type { Suite } from "../harness.ts";

const floats = Float32Array.of(1, 2, 3, 4, 5, 6);
const bytes = new Uint8Array(floats.buffer);

async function bytesOf(source: TensorSource): Promise<number[]> {
  const into = new Uint8Array(source.descriptor.byteLength);
  await source.read(0, into);
  return [...into];
}

export const tensorInputSuite: Suite = ({ test }) => {
  test("tensor input: a typed array says what it holds, and is not copied", async () => {
    const flat = sourceOf(floats);
    assert.deepEqual(flat.descriptor, { dtype: "F32", shape: [6], byteLength: 24 });
    assert.equal(flat.view?.(0, 24).buffer, floats.buffer);
    const part = sourceOf(floats.subarray(2), { shape: [2, 2] });
    assert.deepEqual(part.descriptor.shape, [2, 2]);
    assert.deepEqual(await bytesOf(part), [...bytes.subarray(8)]);
    assert.deepEqual(sourceOf(new BigInt64Array(2)).descriptor.dtype, "I64");
    assert.deepEqual(sourceOf(new Uint8Array(3)).descriptor, {
      dtype: "U8",
      shape: [3],
      byteLength: 3,
    });
  });

  test("tensor input: bytes are of any dtype, 16 bits also of a half float's", () => {
    assert.deepEqual(sourceOf(bytes, { dtype: "F32", shape: [3, 2] }).descriptor.shape, [3, 2]);
    assert.deepEqual(sourceOf(bytes, { dtype: "F64" }).descriptor.shape, [3]);
    assert.deepEqual(sourceOf(new Uint8Array(36), { dtype: "Q4_0" }).descriptor.shape, [64]);
    for (const dtype of ["F16", "BF16"] as const) {
      assert.deepEqual(sourceOf(new Uint16Array(4), { dtype }).descriptor, {
        dtype,
        shape: [4],
        byteLength: 8,
      });
    }
  });

  test("tensor input: buffers, blobs and streams are what they are said to be", async () => {
    const tensor = { dtype: "F32", shape: [2, 3] } as const;
    const inputs: [input: TensorInput, kind: { readonly name: string }][] = [
      [floats.buffer, ByteSource],
      [new Blob([bytes]), BlobSource],
      [new File([bytes], "w"), BlobSource],
      [new Blob([bytes]).stream(), StreamSource],
    ];
    for (const [input, kind] of inputs) {
      const source = sourceOf(input, { ...tensor, version: Uint8Array.of(9) });
      assert.equal(source.constructor, kind);
      assert.deepEqual(source.descriptor, { ...tensor, byteLength: 24 });
      assert.deepEqual(await source.version(), Uint8Array.of(9));
      assert.deepEqual(await bytesOf(source), [...bytes]);
    }
  });

  test("tensor input: a stream may be open-ended, and has a buffer of its own size", async () => {
    const options = { dtype: "F32", shape: [Infinity, 3], openEnded: true } as const;
    const source = sourceOf(new Blob([bytes]).stream(), options) as StreamSource;
    assert.isTrue(source.isOpenEnded);
    assert.equal(await source.peekEnd(24), 24);
    assert.deepEqual(source.finalDescriptor?.shape, [2, 3]);
    const small = { ...options, replayBytes: 1 };
    assert.throws(() => sourceOf(new Blob([bytes]).stream(), small), RangeError, /replayBytes/);
  });

  test("tensor input: a source is taken as it is", () => {
    const source = new ByteSource(bytes, { dtype: "F32", shape: [6] });
    assert.equal(sourceOf(source), source);
    const own = { descriptor: source.descriptor, version: source.version, read: source.read };
    assert.equal(sourceOf(own), own);
  });

  test("tensor input: says what is accepted when it is given something else", () => {
    const blob = new Blob([bytes]);
    const source = sourceOf(floats);
    const wrong: [unknown, TensorInputOptions, RegExp][] = [
      ["text", {}, /typed array, an ArrayBuffer, a Blob, .* found string/],
      [null, {}, /found null/],
      [undefined, {}, /found undefined/],
      [[1, 2], {}, /found Array/],
      [new DataView(floats.buffer), {}, /found DataView/],
      [{}, {}, /found Object/],
      [floats.buffer, { dtype: "F32" }, /dtype and shape/],
      [blob, { shape: [6] }, /dtype and shape/],
      [blob.stream(), {}, /dtype and shape/],
      [floats, { dtype: "F64" }, /holds F32, not F64/],
      [new Int16Array(2), { dtype: "BF16" }, /holds I16, not BF16/],
      [bytes, { dtype: "F7" as "F32" }, /not F7/],
      [floats, { openEnded: true }, /Only a stream/],
      [source, { dtype: "F32" }, /of its own/],
      [source, { version: Uint8Array.of(1) }, /of its own/],
    ];
    for (const [input, options, message] of wrong) {
      assert.throws(() => sourceOf(input as TensorInput, options), TypeError, message);
    }
    assert.throws(() => sourceOf(floats, { shape: [5] }), RangeError, /takes 20 bytes, but 24/);
    assert.throws(() => sourceOf(new Uint8Array(7), { dtype: "F32" }), RangeError);
  });
};
