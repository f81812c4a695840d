import { assert } from "chai";
import fc from "fast-check";
import { HeadraceError, ProtocolError } from "../../lib/errors.ts";
import { decodeListing, encodeListingEntry } from "../../lib/wire/listing.ts";
import {
  decodeBitmapPage,
  decodeDigestPage,
  decodeNumber,
  decodeProof,
  decodeRanges,
  encodeNumber,
  encodeRanges,
} from "../../lib/wire/pages.ts";
import { countWork } from "../complexity.ts";
import type { Suite } from "../harness.ts";
import { concat, vectors } from "./vectors.ts";

const listing = vectors.binary.find(({ kind }) => kind === "listing");
const entries = listing?.value.entries ?? [];

/** Changes one byte of an encoded entry. */
function withByte(at: number, value: number): Uint8Array {
  const bytes = encodeListingEntry(entries[1] as (typeof entries)[number]);
  bytes[at] = value;
  return bytes;
}

export const pagesSuite: Suite = ({ test }) => {
  test("pages: lengths that do not fit are refused", () => {
    for (const length of [0, 7]) {
      assert.throws(() => decodeBitmapPage(new Uint8Array(length)), ProtocolError);
      assert.throws(() => decodeDigestPage(new Uint8Array(length)), ProtocolError);
    }
    assert.deepEqual(decodeBitmapPage(new Uint8Array(8)).bits, new Uint8Array());
    assert.throws(() => decodeBitmapPage(encodeNumber(4)), ProtocolError, /leaf 4/);
    for (const length of [9, 8 + 31, 8 + 33]) {
      assert.throws(() => decodeDigestPage(new Uint8Array(length)), ProtocolError);
    }
    for (const length of [0, 11, 13]) {
      assert.throws(() => decodeRanges(new Uint8Array(length), 5), ProtocolError);
    }
    const range = encodeRanges([{ first: 3, count: 2 }]);
    assert.deepEqual(decodeProof(range, 5), { first: 3, count: 2, hashes: new Uint8Array() });
    assert.throws(() => decodeProof(range, 4), ProtocolError, /leaves 3 to 4 of 4/);
    for (const length of [0, 11, 12 + 31, 12 + 33]) {
      const body = new Uint8Array(length);
      body.set(range.subarray(0, length));
      assert.throws(() => decodeProof(body, 5), ProtocolError);
    }
    for (const length of [0, 7, 9]) {
      assert.throws(() => decodeNumber(new Uint8Array(length)), ProtocolError);
    }
  });

  test("pages: numbers past 2^53 - 1 and leaves that the tensor does not have are refused", () => {
    const past = Uint8Array.of(0, 0, 0, 0, 0, 0, 0x20, 0);
    assert.throws(() => decodeNumber(past), ProtocolError);
    assert.throws(() => decodeBitmapPage(past), ProtocolError);
    assert.throws(() => decodeDigestPage(past), ProtocolError);
    assert.throws(() => decodeRanges(concat([past, new Uint8Array(4).fill(1)]), 5), ProtocolError);
    assert.deepEqual(decodeRanges(encodeRanges([{ first: 3, count: 2 }]), 5), [
      { first: 3, count: 2 },
    ]);
    for (const range of [
      { first: 3, count: 3 },
      { first: 5, count: 1 },
      { first: 0, count: 0 },
    ]) {
      assert.throws(() => decodeRanges(encodeRanges([range]), 5), ProtocolError);
    }
  });

  test("listing: entries that cannot be are refused, and so is a page cut anywhere", () => {
    assert.deepEqual(decodeListing(concat(entries.map(encodeListingEntry))), entries);
    const page = concat(entries.map(encodeListingEntry));
    const ends = entries.map((_, n) => concat(entries.slice(0, n).map(encodeListingEntry)).length);
    for (let length = 1; length < page.byteLength; length++) {
      if (ends.includes(length)) continue;
      assert.throws(() => decodeListing(page.subarray(0, length)), ProtocolError);
    }
    assert.throws(() => decodeListing(withByte(0, 2)), ProtocolError, /unknown kind/);
    assert.throws(() => decodeListing(withByte(1, 99)), ProtocolError, /unknown kind/);
    assert.throws(() => decodeListing(withByte(2, 33)), ProtocolError, /unknown kind/);
    assert.throws(() => decodeListing(withByte(3, 33)), ProtocolError, /unknown kind/);
    assert.throws(() => decodeListing(withByte(4, 0)), ProtocolError, /name or size/);
    assert.throws(() => decodeListing(withByte(10, 145)), ProtocolError, /name or size/);
    assert.throws(() => decodeListing(withByte(18, 5)), ProtocolError, /name or size/);
    assert.throws(() => decodeListing(withByte(34, 0xff)), ProtocolError, /name or size/);
  });

  test("listing: a name keeps every character, a byte order mark at its beginning too", () => {
    const [first] = entries;
    const address = { model: "\ufeffm", partition: "default", tensor: "\ufeff" };
    const bytes = encodeListingEntry({ ...(first as (typeof entries)[number]), address });
    assert.deepEqual(decodeListing(bytes)[0]?.address, address);
  });

  test("pages: random bytes are read or refused, within their own size", async () => {
    const samples = fc.sample(fc.uint8Array({ minLength: 0, maxLength: 200 }), 2000);
    for (const bytes of samples) {
      const work = await countWork(() => {
        for (const decode of [decodeBitmapPage, decodeDigestPage, decodeListing, decodeNumber]) {
          try {
            decode(bytes);
          } catch (error) {
            assert.instanceOf(error, HeadraceError);
          }
        }
      });
      assert.isBelow(work.allocatedBytes, 4 * 200);
    }
  });
};
