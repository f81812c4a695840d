import { assert } from "chai";
import fc from "fast-check";
import { FormatError, LimitError } from "../../../lib/errors.ts";
import { encodeHeader } from "../../../lib/formats/safetensors/encode_header.ts";
import { headerByteLength, parseHeader } from "../../../lib/formats/safetensors/header.ts";
import { createDescriptor } from "../../../lib/tensor/descriptor.ts";
import { DTYPES, type DType } from "../../../lib/tensor/dtype.ts";
import type { Suite } from "../../harness.ts";

const PLAIN = Object.entries(DTYPES)
  .filter(([, layout]) => layout.blockElements === 1)
  .map(([name]) => name as DType);

/** A file's first bytes: the length of the JSON, then the JSON. */
function frame(json: string | Uint8Array): Uint8Array {
  const body = typeof json === "string" ? new TextEncoder().encode(json) : json;
  const bytes = new Uint8Array(8 + body.byteLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(body.byteLength), true);
  bytes.set(body, 8);
  return bytes;
}

const parse = (json: string | Uint8Array, dataBytes = 0) => {
  const bytes = frame(json);
  return parseHeader(bytes, bytes.byteLength + dataBytes);
};

const entry = (begin: number, end: number, dtype = "U8", shape: unknown = [end - begin]) =>
  `{"dtype":"${dtype}","shape":${JSON.stringify(shape)},"data_offsets":[${begin},${end}]}`;

/** Malformed headers: what is wrong, the JSON, the bytes after it, and what the error must say. */
const MALFORMED: readonly [string, string, number, RegExp][] = [
  ["no opening brace", ` {}`, 0, /must begin with "\{"/],
  ["an array", `["a"]`, 0, /must begin with "\{"/],
  ["a byte order mark", `\ufeff{}`, 0, /must begin with "\{"/],
  ["cut JSON", `{"a":`, 0, /wanted "\{", found the end/],
  ["a cut string", `{"a`, 0, /rest of a string, found the end/],
  ["a trailing comma", `{"a":${entry(0, 1)},}`, 1, /wanted a string/],
  ["something after the brace", `{}{}`, 0, /nothing but padding/],
  ["zeros as padding", `{}\0\0`, 0, /nothing but padding/],
  ["tabs as padding", `{}\t`, 0, /nothing but padding/],
  ["a tensor named twice", `{"a":${entry(0, 1)},"a":${entry(1, 2)}}`, 2, /"a" appears twice/],
  [
    "a name spelt two ways",
    `{"a":${entry(0, 1)},"\\u0061":${entry(1, 2)}}`,
    2,
    /"a" appears twice/,
  ],
  [
    "a field given twice",
    `{"w":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}`,
    1,
    /Tensor "w".*"dtype" appears twice/,
  ],
  ["metadata given twice", `{"__metadata__":{},"__metadata__":{}}`, 0, /"__metadata__" appears/],
  ["a metadata key twice", `{"__metadata__":{"k":"1","k":"2"}}`, 0, /"k" appears twice/],
  [
    "metadata that is no text",
    `{"__metadata__":{"k":1}}`,
    0,
    /under "__metadata__": wanted a string/,
  ],
  [
    "metadata that is nested",
    `{"__metadata__":{"k":{}}}`,
    0,
    /under "__metadata__": wanted a string/,
  ],
  ["metadata that is null", `{"__metadata__":null}`, 0, /under "__metadata__": wanted "\{"/],
  ["an entry that is no object", `{"w":[1]}`, 0, /Tensor "w": wanted "\{"/],
  [
    "an unknown field",
    `{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":0}}`,
    1,
    /Tensor "w": unknown field "x"/,
  ],
  ["no dtype", `{"w":{"shape":[1],"data_offsets":[0,1]}}`, 1, /Tensor "w": has no dtype/],
  ["no shape", `{"w":{"dtype":"U8","data_offsets":[0,1]}}`, 1, /Tensor "w": has no shape/],
  ["no offsets", `{"w":{"dtype":"U8","shape":[1]}}`, 1, /Tensor "w": has no data_offsets/],
  ["an unknown dtype", `{"w":${entry(0, 1, "U7")}}`, 1, /Tensor "w": unknown dtype "U7"/],
  ["a dtype of another format", `{"w":${entry(0, 18, "Q4_0", [32])}}`, 18, /unknown dtype "Q4_0"/],
  ["a dtype from the prototype", `{"w":${entry(0, 1, "toString")}}`, 1, /unknown dtype "toStr/],
  ["a negative dimension", `{"w":${entry(0, 1, "U8", [-1])}}`, 1, /Tensor "w".*found -1/],
  ["a fraction", `{"w":${entry(0, 1, "U8", [0.5])}}`, 1, /Tensor "w".*found 0.5/],
  [
    "an exponent",
    `{"w":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}}`,
    1,
    /Tensor "w".*plain digits, found 1e0/,
  ],
  [
    "a number that a double cannot hold",
    `{"w":{"dtype":"U8","shape":[9007199254740993],"data_offsets":[0,9007199254740993]}}`,
    1,
    /Tensor "w".*found 9007199254740993/,
  ],
  [
    "a leading zero",
    `{"w":{"dtype":"U8","shape":[01],"data_offsets":[0,1]}}`,
    1,
    /Tensor "w".*found 01/,
  ],
  [
    "sixteen nines",
    `{"w":${entry(0, 1, "U8", [])}`.replace("[]", "[9999999999999999]"),
    1,
    /9{16}/,
  ],
  ["a plus sign", `{"w":${entry(0, 1, "U8", [])}`.replace("[]", "[+1]"), 1, /found \+1/],
  ["minus zero", `{"w":${entry(0, 1, "U8", [])}`.replace("[]", "[-0]"), 1, /found -0/],
  ["text for a number", `{"w":${entry(0, 1, "U8", ["1"])}}`, 1, /Tensor "w": wanted a number/],
  ["one offset", `{"w":{"dtype":"U8","shape":[1],"data_offsets":[1]}}`, 1, /"w".*two numbers/],
  [
    "three offsets",
    `{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}`,
    1,
    /"w".*found more/,
  ],
  ["offsets in reverse", `{"w":${entry(2, 1, "U8", [1])}}`, 2, /Tensor "w".*begin at 2.*at 1/],
  ["a length that disagrees", `{"w":${entry(0, 7, "F32", [2])}}`, 7, /"w".*takes 8 bytes.*hold 7/],
  [
    "a product past 2^53",
    `{"w":${entry(0, 1, "F64", [2 ** 31, 2 ** 31])}}`,
    1,
    /Tensor "w".*past 2\^53/,
  ],
  ["an overlap", `{"a":${entry(0, 4)},"b":${entry(3, 6)}}`, 6, /"b": begins at byte 3.*"a".*at 4/],
  ["a gap", `{"a":${entry(0, 4)},"b":${entry(5, 6)}}`, 6, /"b": 1 bytes between tensor "a"/],
  ["a gap at the front", `{"a":${entry(4, 8)}}`, 8, /"a": 4 bytes between the header/],
  ["a hole for an empty tensor", `{"a":${entry(0, 4)},"b":${entry(9, 9)}}`, 4, /"b": 5 bytes/],
  ["a file that was cut", `{"a":${entry(0, 4)},"b":${entry(4, 9)}}`, 7, /"b".*2 bytes or more/],
  ["bytes after the last tensor", `{"a":${entry(0, 4)}}`, 6, /2 bytes after tensor "a"/],
  ["bytes after no tensor", `{}`, 3, /3 bytes after the header/],
  ["half a surrogate pair", `{"\\ud800":${entry(0, 1)}}`, 1, /half a surrogate/],
  ["an escape that JSON lacks", `{"\\x41":${entry(0, 1)}}`, 1, /escape that JSON does not have/],
  ["a raw control character", `{"a\n":${entry(0, 1)}}`, 1, /rest of a string/],
  ["a tensor without a name", `{"":${entry(0, 1)}}`, 1, /must not be empty/],
];

export const safetensorsHeaderSuite: Suite = ({ test }) => {
  test("safetensors header: whatever is encoded parses to the same, in order, aligned", () => {
    const tensor = fc
      .record({
        dtype: fc.constantFrom(...PLAIN),
        shape: fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 4 }),
      })
      .map(({ dtype, shape }) => createDescriptor(dtype, shape));
    const name = fc.oneof(
      fc.string({ minLength: 1, maxLength: 20, unit: "binary" }).filter((s) => s.isWellFormed()),
      fc.constantFrom("__proto__", "constructor", "toString", 'quo"te\\', "\u0000"),
    );
    const tensors = fc.uniqueArray(fc.record({ name, descriptor: tensor }), {
      selector: ({ name }) => name,
      maxLength: 12,
    });
    const metadata = fc.uniqueArray(fc.tuple(name, name), { selector: ([key]) => key });
    fc.assert(
      fc.property(tensors, metadata, (tensors, metadata) => {
        const written = encodeHeader(tensors, metadata);
        assert.equal(written.raw.byteLength % 8, 0);
        const read = parseHeader(written.raw, written.fileBytes);
        assert.deepEqual([...read.metadata], [...written.metadata]);
        assert.deepEqual(read.raw, written.raw);
        assert.equal(read.fileBytes, written.fileBytes);
        // Empty tensors take no place, so that those at one offset may come in any order of names.
        const solid = (header: typeof read) =>
          header.tensors.filter(({ descriptor }) => descriptor.byteLength > 0);
        assert.deepEqual(solid(read), solid(written));
        const byName = (header: typeof read) =>
          new Map(header.tensors.map((tensor) => [tensor.name, tensor]));
        assert.deepEqual(byName(read), byName(written));
      }),
      { numRuns: 300, seed: 7 },
    );
  });

  test("safetensors header: reads what the format's own examples look like", () => {
    const header = parse(
      `{"__metadata__":{"format":"pt"},"b":${entry(16, 24, "F32", [2])},"a":${entry(0, 16, "BF16", [2, 4])},"s":${entry(24, 26, "F16", [])},"e":${entry(26, 26, "I64", [0, 7])}}   `,
      26,
    );
    assert.deepEqual(
      header.tensors.map(({ name, fileOffset }) => [name, fileOffset - header.raw.byteLength]),
      [
        ["a", 0],
        ["b", 16],
        ["s", 24],
        ["e", 26],
      ],
    );
    assert.deepEqual([...header.metadata], [["format", "pt"]]);
    assert.deepEqual(header.tensors[3]?.descriptor, {
      dtype: "I64",
      shape: [0, 7],
      byteLength: 0,
    });
    assert.deepEqual(parse("{}").tensors, []);
  });

  test("safetensors header: offsets past 2^32 and up to 2^53 - 1 are exact", () => {
    const big = 9_007_199_254_000_001;
    const bytes = frame(`{"w":${entry(0, big)},"v":${entry(big, big + 5)}}`);
    const header = parseHeader(bytes, bytes.byteLength + big + 5);
    assert.equal(header.tensors[1]?.fileOffset, bytes.byteLength + big);
  });

  test("safetensors header: __proto__ is an ordinary name", () => {
    const header = parse(`{"__metadata__":{"__proto__":"m"},"__proto__":${entry(0, 1)}}`, 1);
    assert.equal(header.tensors[0]?.name, "__proto__");
    assert.equal(header.metadata.get("__proto__"), "m");
    assert.throws(
      () => parse(`{"__proto__":${entry(0, 1)},"__proto__":${entry(1, 2)}}`, 2),
      FormatError,
      /"__proto__" appears twice/,
    );
  });

  for (const [what, json, dataBytes, message] of MALFORMED) {
    test(`safetensors header: refuses ${what}`, () => {
      assert.throws(() => parse(json, dataBytes), FormatError, message);
    });
  }

  test("safetensors header: refuses what is not UTF-8", () => {
    const json = new TextEncoder().encode(`{"aaaa":${entry(0, 1)}}`);
    for (const bad of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xc3]]) {
      const bytes = json.slice();
      bytes.set(bad, 3);
      assert.throws(() => parse(bytes, 1), FormatError, /not valid UTF-8/);
    }
  });

  test("safetensors header: a length is checked before anything is allocated for it", () => {
    const start = (length: bigint) => {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, length, true);
      return bytes;
    };
    assert.equal(headerByteLength(start(100_000_000n), 2e9), 100_000_008);
    assert.throws(() => headerByteLength(start(100_000_001n), 2e9), LimitError, /100000001/);
    assert.throws(() => headerByteLength(start(2n ** 64n - 1n), 2e9), FormatError, /truncated/);
    assert.throws(() => headerByteLength(start(3n), 10), FormatError, /takes 3 bytes.*has 2/);
    assert.throws(() => headerByteLength(new Uint8Array(8), 7), FormatError, /at least 8/);
    assert.throws(
      () => headerByteLength(start(65n), 2e9, { limits: { maxSafetensorsHeaderBytes: 64 } }),
      LimitError,
    );
    assert.throws(
      () => parseHeader(start(2n), 10),
      FormatError,
      /wanted its 10 bytes, was given 8/,
    );
  });

  test("safetensors header: names and shapes have their limits", () => {
    assert.throws(() => parse(`{"${"n".repeat(1025)}":${entry(0, 1)}}`, 1), LimitError, /1025/);
    const shape = new Array(33).fill(1);
    assert.throws(() => parse(`{"w":${entry(0, 1, "U8", shape)}}`, 1), LimitError, /"w".*32/);
  });

  test("safetensors header: an error shows a hostile name cut and escaped", () => {
    const name = `\\u001b[2J\u202e\u009b${"y".repeat(500)}`;
    try {
      parse(`{"${name}":${entry(0, 1, "U7")}}`, 1);
      assert.fail("accepted");
    } catch (error) {
      assert.instanceOf(error, FormatError);
      const { message } = error as FormatError;
      assert.match(message, /^[\x20-\x7e]+$/);
      assert.include(message, '"\\u001b[2J\\u202e\\u009byyy');
      assert.isBelow(message.length, 250);
    }
  });

  test("safetensors header: the encoder refuses what no file can hold", () => {
    const descriptor = createDescriptor("U8", [1]);
    assert.throws(() => encodeHeader([{ name: "__metadata__", descriptor }]), TypeError);
    assert.throws(() => encodeHeader([{ name: "\ud800", descriptor }]), TypeError);
    const twice = [
      { name: "a", descriptor },
      { name: "a", descriptor },
    ];
    assert.throws(() => encodeHeader(twice), TypeError, /Two tensors are named "a"/);
    const quantised = createDescriptor("Q4_0", [32]);
    assert.throws(() => encodeHeader([{ name: "q", descriptor: quantised }]), TypeError, /Q4_0/);
  });

  test("safetensors header: 100,000 mutations parse or end in a typed error", () => {
    const header = encodeHeader(
      [
        { name: "model.embed", descriptor: createDescriptor("BF16", [16, 8]) },
        { name: 'é\\"\u0001', descriptor: createDescriptor("F32", [3]) },
        { name: "none", descriptor: createDescriptor("I64", [0]) },
      ],
      [["format", "pt"]],
    );
    // A linear congruential generator: the same mutations in every runtime.
    let state = 1;
    const random = (below: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const spice = new TextEncoder().encode('{}[]",:\\u0eE+-.9 ');
    let refused = 0;
    for (let round = 0; round < 100_000; round++) {
      const bytes = header.raw.slice();
      for (let times = 1 + random(3); times > 0; times--) {
        const at = random(bytes.length);
        const kind = random(4);
        if (kind === 0) bytes[at] = random(256);
        else if (kind === 1) bytes[at] = (bytes[at] as number) ^ (1 << random(8));
        else if (kind === 2) bytes[at] = spice[random(spice.length)] as number;
        else bytes.copyWithin(at, random(bytes.length), random(bytes.length));
      }
      try {
        parseHeader(bytes, header.fileBytes);
      } catch (error) {
        if (!(error instanceof FormatError || error instanceof LimitError)) throw error;
        refused++;
      }
    }
    assert.isAbove(refused, 50_000);
  });
};
