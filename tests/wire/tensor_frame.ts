import { assert } from "chai";
import fc from "fast-check";
import { HeadraceError, ProtocolError, TransportError } from "../../lib/errors.ts";
import { DTYPES, type DType } from "../../lib/tensor/dtype.ts";
import { FRAME_HEADER_BYTES, MAX_TENSOR_DATA_BYTES } from "../../lib/wire/frame_header.ts";
import {
  decodeTensorFrame,
  encodeTensorFront,
  type TensorFrame,
} from "../../lib/wire/tensor_frame.ts";
import { xxh32 } from "../../lib/wire/xxh32.ts";
import { countWork } from "../complexity.ts";
import type { Suite } from "../harness.ts";
import { concat, vectors } from "./vectors.ts";

const FIXED_BYTES = 24;
const CHECK_SEED = 0x74656e73;

/** A TENSOR frame's payload. */
function payloadOf(tensor: TensorFrame): Uint8Array {
  return concat([encodeTensorFront(1, tensor).subarray(FRAME_HEADER_BYTES), tensor.data]);
}

/** Where the data of a payload begins. */
function headBytesOf(payload: Uint8Array): number {
  return new DataView(payload.buffer, payload.byteOffset).getUint32(4, true);
}

/** Sums a payload's head anew, as a sender would that means what it says. */
function summed(payload: Uint8Array, headBytes = headBytesOf(payload)): Uint8Array {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  view.setUint32(4, headBytes, true);
  view.setUint32(headBytes - 4, xxh32(payload.subarray(0, headBytes - 4), CHECK_SEED), true);
  return payload;
}

const payloads = vectors.tensors.map(({ bytes }) => bytes.slice(FRAME_HEADER_BYTES));
/** Two dimensions, two-byte version-less, a digest, no push: BF16 [15, 10] under version `v`. */
const plain = payloads[2] as Uint8Array;
/** U8 [3, 0], without bytes and digest. */
const empty = payloads[1] as Uint8Array;
/** Q4_0 [2, 32], pushed. */
const pushed = payloads[4] as Uint8Array;
const DATA_AT = headBytesOf(plain);

/** A golden payload with some bytes replaced, and its head summed again. */
function bent(payload: Uint8Array, at: number, ...bytes: readonly number[]): Uint8Array {
  const copy = payload.slice();
  copy.set(bytes, at);
  return summed(copy);
}

const u32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);

export const tensorFrameSuite: Suite = ({ test }) => {
  test("tensor frame: a payload cut anywhere is refused, by its check or by its length", () => {
    for (const payload of payloads) {
      const headBytes = headBytesOf(payload);
      for (let length = 0; length < payload.byteLength; length++) {
        const isNonsense = length < FIXED_BYTES + 4 || length >= headBytes;
        const kind = isNonsense ? ProtocolError : TransportError;
        assert.throws(() => decodeTensorFrame(payload.subarray(0, length)), kind);
      }
      assert.throws(() => decodeTensorFrame(concat([payload, Uint8Array.of(0)])), ProtocolError);
    }
  });

  test("tensor frame: any bit turned in its head is damage, never nonsense; in its data it is data", () => {
    for (const payload of payloads) {
      const headBytes = headBytesOf(payload);
      const whole = decodeTensorFrame(payload);
      for (let bit = 0; bit < payload.byteLength * 8; bit++) {
        const turned = payload.slice();
        turned[bit >> 3] = (turned[bit >> 3] as number) ^ (1 << (bit & 7));
        if (bit >> 3 < headBytes) {
          assert.throws(() => decodeTensorFrame(turned), TransportError, /check of its head/);
        } else {
          const { data, ...head } = decodeTensorFrame(turned);
          assert.deepEqual({ ...head, data: whole.data }, whole);
          assert.equal(data.byteLength, whole.data.byteLength);
        }
      }
    }
  });

  test("tensor frame: a length of the head that leaves no place for its check is damage", () => {
    for (const headBytes of [0, 3, 27, plain.byteLength + 1, 2 ** 31, 2 ** 32 - 1]) {
      const copy = plain.slice();
      copy.set(u32(headBytes), 4);
      assert.throws(() => decodeTensorFrame(copy), TransportError, /check of its head/);
    }
    // All sums right, but longer than any head is.
    const long = new Uint8Array(5000);
    long.set(plain.subarray(0, DATA_AT));
    assert.throws(() => decodeTensorFrame(summed(long, 4097)), TransportError, /check of its head/);
    assert.throws(() => decodeTensorFrame(summed(long, 4096)), ProtocolError);
  });

  test("tensor frame: fields that contradict each other or pass a limit are refused", () => {
    assert.equal(decodeTensorFrame(bent(plain, 0, DTYPES.BF16.code)).descriptor.dtype, "BF16");
    const wrong: [what: string, payload: Uint8Array][] = [
      ["an unknown dtype", bent(plain, 0, 99)],
      ["a dtype of another size", bent(plain, 0, DTYPES.F32.code)],
      ["fewer dimensions", bent(plain, 1, 1)],
      ["more dimensions", bent(plain, 1, 3)],
      ["33 dimensions", bent(plain, 1, 33)],
      ["a shorter version", bent(plain, 2, 0)],
      ["a longer version", bent(plain, 2, 2)],
      ["a version of 33 bytes", bent(plain, 2, 33)],
      ["no digest where one is", bent(plain, 3, 0)],
      ["a push that is not there", bent(plain, 3, 3)],
      ["an unknown bit", bent(plain, 3, 5)],
      ["another length of the tensor", bent(plain, 8, ...u32(299))],
      ["another length of the data", bent(plain, 12, ...u32(299))],
      ["a codec that does not make it smaller", bent(plain, 20, ...u32(1))],
      ["another dimension", bent(plain, FIXED_BYTES, 16)],
      ["a dimension past 2^53 - 1", bent(plain, FIXED_BYTES + 6, 0x20)],
      ["a digest of nothing", withEmptyDigest()],
      ["a push that is cut", bent(pushed, 3, 0)],
      ["an epoch past 2^53 - 1", bent(pushed, EPOCH_AT + 6, 0x20)],
      ["an empty name", bent(pushed, EPOCH_AT + 9, 0, 0)],
      ["a name past the head", bent(pushed, EPOCH_AT + 13, 0xff, 0xff)],
      ["a name that is not UTF-8", bent(pushed, EPOCH_AT + 15, 0xff)],
    ];
    for (const [what, payload] of wrong) {
      assert.throws(() => decodeTensorFrame(payload), ProtocolError, undefined, what);
    }
  });

  test("tensor frame: data is as long as the codec allows", () => {
    const tensor = { ...decodeTensorFrame(plain), digest: undefined };
    const read = (over: Partial<TensorFrame>) =>
      decodeTensorFrame(payloadOf({ ...tensor, ...over }));
    assert.equal(read({ codec: 1, data: new Uint8Array(299) }).data.byteLength, 299);
    assert.equal(read({ codec: 7, data: new Uint8Array(1) }).codec, 7);
    for (const length of [0, 300, 301]) {
      assert.throws(() => read({ codec: 1, data: new Uint8Array(length) }), ProtocolError);
    }
    for (const length of [0, 299, 301]) {
      assert.throws(() => read({ data: new Uint8Array(length) }), ProtocolError);
    }
    const most = MAX_TENSOR_DATA_BYTES;
    const sized = (byteLength: number): Partial<TensorFrame> => ({
      descriptor: { dtype: "U8", shape: [byteLength], byteLength },
      data: new Uint8Array(byteLength),
    });
    assert.equal(read(sized(most)).data.byteLength, most);
    assert.throws(() => read(sized(most + 1)), ProtocolError, /cannot be/);
    const coded = { ...sized(most + 1), codec: 1, data: new Uint8Array(10) };
    assert.throws(() => read(coded), ProtocolError, /cannot be/);
  });

  test("tensor frame: version and transfer are the reader's, digest and data the payload's", () => {
    const copy = (payloads[5] as Uint8Array).slice();
    const tensor = decodeTensorFrame(copy);
    assert.strictEqual(tensor.data.buffer, copy.buffer);
    assert.strictEqual(tensor.digest?.buffer, copy.buffer);
    const { version, push } = structuredClone(tensor);
    copy.fill(0);
    assert.deepEqual({ version: tensor.version, push: tensor.push }, { version, push });
  });

  test("tensor frame: whatever is written is read back", () => {
    fc.assert(
      fc.property(tensors, (tensor) => {
        assert.deepEqual(decodeTensorFrame(payloadOf(tensor)), tensor);
      }),
    );
  });

  test("tensor frame: random bytes, their head summed or not, are read or refused within their own size", async () => {
    const samples = fc.sample(fc.uint8Array({ minLength: 28, maxLength: 300 }), 3000);
    for (const [n, bytes] of samples.entries()) {
      const headBytes = 28 + (n % (bytes.byteLength - 27));
      const payload = n % 3 === 0 ? bytes : summed(bytes, headBytes);
      const work = await countWork(() => {
        try {
          decodeTensorFrame(payload);
        } catch (error) {
          assert.instanceOf(error, HeadraceError);
        }
      });
      assert.isBelow(work.allocatedBytes, 2 * 300);
    }
  });
};

/** Where a pushed tensor's epoch stands: behind two dimensions, a version of 32 bytes and the id. */
const EPOCH_AT = FIXED_BYTES + 2 * 8 + 32 + 16;

/** The golden tensor without bytes, with a digest nevertheless. */
function withEmptyDigest(): Uint8Array {
  const headBytes = headBytesOf(empty);
  const payload = concat([empty.subarray(0, headBytes - 4), new Uint8Array(32 + 4)]);
  payload[3] = 1;
  return summed(payload, headBytes + 32);
}

const names = fc.string({ unit: "grapheme", minLength: 1, maxLength: 100 });
const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const u32s = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const pushes = fc.record({
  id: bytesOf(16),
  epoch: fc.maxSafeNat(),
  address: fc.record({ model: names, partition: names, tensor: names }),
  priority: fc.integer({ min: 0, max: 255 }),
});
const oneByteDTypes = fc.constantFrom<DType>("U8", "I8", "BOOL", "F8_E4M3", "F8_E5M2");
const tensors: fc.Arbitrary<TensorFrame> = fc
  .record({
    dtype: oneByteDTypes,
    shape: fc.array(fc.integer({ min: 0, max: 7 }), { maxLength: 4 }),
    version: fc.uint8Array({ maxLength: 32 }),
    checksum: u32s,
    codec: u32s,
    push: fc.option(pushes, { nil: undefined }),
    isHashed: fc.boolean(),
    bytes: bytesOf(7 ** 4),
    digest: bytesOf(32),
    share: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  })
  .map(({ dtype, shape, codec: wanted, isHashed, bytes, digest, share, ...rest }) => {
    const byteLength = shape.reduce((product, size) => product * size, 1);
    const codec = byteLength > 1 ? wanted : 0;
    const dataBytes = codec === 0 ? byteLength : 1 + Math.floor(share * (byteLength - 1));
    return {
      ...rest,
      descriptor: { dtype, shape, byteLength },
      codec,
      digest: isHashed && byteLength > 0 ? digest : undefined,
      data: bytes.subarray(0, dataBytes),
    };
  });
