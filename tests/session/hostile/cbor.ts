import { ProtocolError } from "../../../lib/errors.ts";
import type { Suite } from "../../harness.ts";
import { cbor, cborHead, type Fields, join, Raw } from "./support/cbor.ts";
import { checked, control, TYPE } from "./support/frames.ts";
import { addressOf, offer, request } from "./support/messages.ts";
import { besideNeighbour } from "./support/scene.ts";

const GOOD = request(1, "small");
/** REQUEST with another field, or with one that is wrong. */
const asked = (fields: Fields) => control(TYPE.request, 1, { ...GOOD, ...fields });
const body = (...parts: readonly Uint8Array[]) => checked(TYPE.request, 1, join(...parts));
const bytes = (...all: readonly number[]) => Uint8Array.from(all);
const nested = (depth: number): Raw => new Raw(...Array.from({ length: depth }, () => 0x81), 0x01);
const name = (count: number) => "é".repeat(count / 2) + "x".repeat(count % 2);

export const hostileCborSuite: Suite = ({ test }) => {
  test(
    "hostile: CBOR that no message holds is refused, and takes neither time nor memory",
    besideNeighbour((scene) => {
      const good = cbor(GOOD);
      const unusual: Fields["x"][] = [
        new Raw(0x20), // negative
        new Raw(0xf6), // null
        new Raw(0xf7), // undefined
        new Raw(0xf9, 0, 0), // floats
        new Raw(0xfb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0),
        new Raw(0xe0), // a simple value
        new Raw(0xc2, 0x41, 1), // tags: a large number, a date, what refers to itself
        new Raw(0xc1, 1),
        new Raw(0xd8, 0x1c, 0x81, 0xd8, 0x1d, 0),
        new Raw(0x5f, 0x41, 1, 0xff), // indefinite lengths
        new Raw(0x7f, 0xff),
        new Raw(0x9f, 0xff),
        new Raw(0xbf, 0xff),
        new Raw(0x1c), // what does not exist
        new Raw(0xff),
        new Raw(0x62, 0xc3, 0x28), // text that is none
        new Raw(0x63, 0xed, 0xa0, 0x80),
        nested(4),
        nested(8000),
        new Raw(0xa1, 0x01, 0x01), // keys that are not text, or stand twice
        new Raw(0xa2, 0x61, 0x78, 1, 0x61, 0x78, 2),
        new Raw(...cborHead(2, 2n ** 64n - 1n)), // lengths beyond everything
        new Raw(...cborHead(3, 2n ** 53n)),
        new Raw(...cborHead(4, 2n ** 32n - 1n)),
        new Raw(...cborHead(5, 2n ** 64n - 1n)),
        new Raw(...cborHead(4, 8000), ...new Uint8Array(100)),
      ];
      return scene.refusesAll(
        [
          ...unusual.map((value) => asked({ other: value })),
          body(good, bytes(0)),
          body(good.subarray(0, -1)),
          body(bytes()),
          body(bytes(0x80)),
          body(bytes(0x61, 0x78)),
          body(cborHead(5, 2n ** 40n), good.subarray(1)),
          body(bytes(0xa2), cbor("id"), cbor(bytes(1)), cbor("id"), cbor(bytes(1))),
        ],
        ProtocolError,
        /not plain CBOR/,
      );
    }),
  );

  test(
    "hostile: fields that are missing, of another kind or out of range are refused",
    besideNeighbour((scene) => {
      const wrong: Fields[] = [
        ...Object.keys(GOOD).map((field) => ({ [field]: undefined })),
        { id: bytes(...new Array(15).fill(0)) },
        { id: bytes(...new Array(8000).fill(0)) },
        { epoch: 2n ** 53n },
        { priority: 256 },
        { priority: true },
        { digest: "md5" },
        { version: bytes(...new Array(33).fill(0)) },
        { address: { ...addressOf("x"), model: undefined } },
        { address: addressOf("") },
        { address: addressOf(name(1025)) },
        { address: "m/p/small" },
        { bytes: [0, 1], rows: [0, 1] },
        { bytes: [0] },
        { rows: [0, 1, 2] },
        { rows: [0, 2n ** 64n - 1n] },
        // Fields that are an object's own in JavaScript only.
        { address: undefined, __proto__: undefined, constructor: { prototype: GOOD } as Fields },
      ];
      const hidden = join(bytes(0xa1), cbor("__proto__"), cbor(GOOD));
      return scene.refusesAll(
        [...wrong.map(asked), body(hidden)],
        ProtocolError,
        /request frame whose/,
      );
    }),
  );

  test(
    "hostile: shapes that cannot be, or say another length, are refused before they are multiplied out",
    besideNeighbour((scene) => {
      const most = 2 ** 53 - 1;
      const wrong: Fields[] = [
        { shape: [2], byteLength: 1 },
        { shape: [], byteLength: 0 },
        { shape: new Array(33).fill(1), byteLength: 1 },
        { shape: [most, most], byteLength: 1 },
        { shape: [most, most, 0], byteLength: 0 },
        { shape: [2 ** 32, 2 ** 32, 2 ** 32], byteLength: 0 },
        { shape: [2n ** 53n], byteLength: 2n ** 53n },
        { shape: [new Raw(0x20)], byteLength: 1 },
        { shape: ["1"], byteLength: 1 },
        { shape: 1, byteLength: 1 },
        { dtype: "U7", shape: [1], byteLength: 1 },
        { dtype: "toString", shape: [1], byteLength: 1 },
        { dtype: "F64", shape: [2 ** 50], byteLength: 2 ** 53 },
        { dtype: "Q4_K", shape: [255], byteLength: 144 },
      ];
      const frames = wrong.map((descriptor) =>
        control(TYPE.offer, 1, offer(1, "x", 1, { descriptor: { dtype: "U8", ...descriptor } })),
      );
      return scene.refusesAll(frames, ProtocolError, /offer frame (whose|that is not plain)/);
    }),
  );

  test(
    "hostile: an offer of chunks, codecs or a version that cannot be is refused",
    besideNeighbour((scene) => {
      const wrong: Fields[] = [
        { chunkBytes: 0 },
        { chunkBytes: 1023 },
        { chunkBytes: 2 ** 26 + 1 },
        { chunkBytes: 2 ** 53 - 1 },
        { codecs: ["deflate", "snappy"] },
        { codecs: new Array(33).fill("deflate") },
        { codecs: [name(33)] },
        { version: bytes(...new Array(33).fill(0)) },
        { version: undefined },
        { open: 1 },
        { root: bytes(1) },
      ];
      const frames = wrong.map((fields) => control(TYPE.offer, 1, offer(1, "x", 2048, fields)));
      return scene.refusesAll(frames, ProtocolError, /offer/);
    }),
  );
};
