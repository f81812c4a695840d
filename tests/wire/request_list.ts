import { assert } from "chai";
import fc from "fast-check";
import { HeadraceError, ProtocolError } from "../../lib/errors.ts";
import type { TensorAddress } from "../../lib/tensor/address.ts";
import {
  decodeRequestList,
  encodeRequestList,
  type RequestList,
} from "../../lib/wire/request_list.ts";
import { countWork } from "../complexity.ts";
import type { Suite } from "../harness.ts";
import { concat, vectors } from "./vectors.ts";

const MOST_BYTES = 65_532;
const bodies = vectors.binary
  .filter(({ kind }) => kind === "requests")
  .map(({ bytes }) => bytes.slice(16, -4));
const golden = bodies[1] as Uint8Array;

const address = (tensor: string): TensorAddress => ({ model: "m", partition: "p", tensor });
const listOf = (addresses: readonly TensorAddress[]): RequestList => ({
  digest: "sha256",
  priority: 50,
  addresses,
});
const u16 = (value: number): number[] => [value & 0xff, value >> 8];
/** A body with so many entries announced, and these bytes for them. */
const bodyOf = (count: number, ...entries: readonly number[]): Uint8Array =>
  Uint8Array.of(1, 50, ...u16(count), ...entries);
/** m/p/t, written out. */
const WHOLE = [...u16(1), ...u16(1), ...u16(1), 0x6d, 0x70, 0x74];

/** All frames of a list, read back. */
function roundTrip(list: RequestList, maxBytes: number): RequestList[] {
  const found: RequestList[] = [];
  for (let at = 0; at < list.addresses.length; ) {
    const { body, count } = encodeRequestList(list, at, maxBytes);
    assert.isAtMost(body.byteLength, maxBytes);
    const read = decodeRequestList(body);
    assert.lengthOf(read.addresses, count);
    found.push(read);
    at += count;
  }
  return found;
}

export const requestListSuite: Suite = ({ test }) => {
  test("request list: a body cut anywhere is refused, and so is one that goes on", () => {
    for (const body of bodies) {
      for (let length = 0; length < body.byteLength; length++) {
        assert.throws(() => decodeRequestList(body.subarray(0, length)), ProtocolError);
      }
      assert.throws(
        () => decodeRequestList(concat([body, Uint8Array.of(0)])),
        ProtocolError,
        /goes on/,
      );
    }
  });

  test("request list: model and partition may stand once for many, or every time", () => {
    const short = bodyOf(2, ...WHOLE, ...u16(0xffff), ...u16(1), 0x75);
    const long = bodyOf(2, ...WHOLE, ...WHOLE.slice(0, -1), 0x75);
    const expected = listOf([address("t"), address("u")]);
    assert.deepEqual(decodeRequestList(short), expected);
    assert.deepEqual(decodeRequestList(long), expected);
    assert.deepEqual(encodeRequestList(expected, 0, MOST_BYTES).body, short);
  });

  test("request list: entries that cannot be are refused", () => {
    const wrong: [what: string, body: Uint8Array][] = [
      ["no entries", bodyOf(0)],
      ["an unknown digest mode", Uint8Array.of(2, 50, ...u16(1), ...WHOLE)],
      ["more entries than there are", bodyOf(2, ...WHOLE)],
      ["65,535 entries", bodyOf(0xffff, ...WHOLE)],
      ["a repeat of nothing", bodyOf(1, ...u16(0xffff), ...u16(1), 0x74)],
      ["an empty name", bodyOf(1, ...u16(1), ...u16(1), ...u16(0), 0x6d, 0x70)],
      ["an empty repeat", bodyOf(2, ...WHOLE, ...u16(0xffff), ...u16(0))],
      ["a name that is not UTF-8", bodyOf(1, ...WHOLE.slice(0, -1), 0xff)],
      [
        "half a surrogate pair",
        bodyOf(1, ...u16(1), ...u16(1), ...u16(3), 0x6d, 0x70, 0xed, 0xa0, 0x80),
      ],
      [
        "a name of 1,025 bytes",
        bodyOf(2, ...WHOLE, ...u16(0xffff), ...u16(1025), ...Array(1025).fill(0x74)),
      ],
    ];
    for (const [what, body] of wrong) {
      assert.throws(() => decodeRequestList(body), ProtocolError, undefined, what);
    }
    const most = bodyOf(2, ...WHOLE, ...u16(0xffff), ...u16(1024), ...Array(1024).fill(0x74));
    assert.equal(decodeRequestList(most).addresses[1]?.tensor.length, 1024);
  });

  test("request list: a name keeps every character, a byte order mark at its beginning too", () => {
    const list = listOf([{ model: "\ufeffm", partition: "\ufeff", tensor: "\ufeff" }]);
    assert.deepEqual(roundTrip(list, MOST_BYTES), [list]);
  });

  test("request list: as many as fit go into a frame, to the byte, and no name is cut", () => {
    const list = listOf([address("層"), address("t"), address("u")]);
    const { body } = encodeRequestList(list, 0, MOST_BYTES);
    assert.equal(encodeRequestList(list, 0, body.byteLength).count, 3);
    assert.equal(encodeRequestList(list, 0, body.byteLength - 1).count, 2);
    const first = encodeRequestList(listOf([address("層")]), 0, MOST_BYTES).body.byteLength;
    assert.equal(encodeRequestList(list, 0, first).count, 1);
    for (let maxBytes = 4; maxBytes < first; maxBytes++) {
      assert.throws(() => encodeRequestList(list, 0, maxBytes), RangeError, `${maxBytes} bytes`);
    }
    const many = listOf(Array.from({ length: 70_000 }, () => address("t")));
    assert.equal(encodeRequestList(many, 0, 400_000).count, 65_535);
  });

  test("request list: whatever is asked for is read back, over however many frames", () => {
    const names = fc.oneof(
      fc.constantFrom("m", "p"),
      fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 }),
    );
    const addresses = fc.array(fc.record({ model: names, partition: names, tensor: names }), {
      minLength: 1,
      maxLength: 40,
    });
    const lists = fc.record({
      digest: fc.constantFrom("sha256" as const, "none" as const),
      priority: fc.integer({ min: 0, max: 255 }),
      addresses,
    });
    fc.assert(
      fc.property(lists, fc.integer({ min: 3000, max: 6000 }), (list, maxBytes) => {
        const found = roundTrip(list, maxBytes);
        assert.deepEqual(
          found.flatMap((part) => part.addresses),
          list.addresses,
        );
        for (const { digest, priority } of found) {
          assert.deepEqual({ digest, priority }, { digest: list.digest, priority: list.priority });
        }
      }),
    );
  });

  test("request list: any bit turned is read or refused, within a few times its size", async () => {
    for (let bit = 0; bit < golden.byteLength * 8; bit++) {
      const turned = golden.slice();
      turned[bit >> 3] = (turned[bit >> 3] as number) ^ (1 << (bit & 7));
      const work = await countWork(() => {
        try {
          const { addresses } = decodeRequestList(turned);
          assert.isAtMost(addresses.length, turned.byteLength / 5);
        } catch (error) {
          assert.instanceOf(error, HeadraceError);
        }
      });
      assert.isBelow(work.allocatedBytes, 4 * golden.byteLength);
    }
  });
};
