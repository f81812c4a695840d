import { assert } from "chai";
import { IntegrityError, ProtocolError, RemoteError, TransportError } from "../../lib/errors.ts";
import { decodeMessage, encodeChecked, encodeMessage } from "../../lib/wire/control.ts";
import { errorOf, faultOf } from "../../lib/wire/fault.ts";
import { FRAME, FRAME_HEADER_BYTES, readFrameHeader } from "../../lib/wire/frame_header.ts";
import type { Messages } from "../../lib/wire/messages.ts";
import type { Suite } from "../harness.ts";
import { fromHex } from "../hex.ts";
import { SHAPES } from "./shapes_by_kind.ts";
import { concat, vectors } from "./vectors.ts";

/** Reads a payload as the other end would, check and all. */
function read(kind: keyof Messages, body: Uint8Array): unknown {
  const frame = encodeChecked(FRAME[kind], 1, body);
  const header = { type: FRAME[kind], flags: 0, stream: 1, payloadBytes: body.byteLength + 4 };
  return decodeMessage<unknown>(SHAPES[kind], header, frame.subarray(FRAME_HEADER_BYTES));
}

function messageOf(kind: keyof Messages): Record<string, unknown> {
  const vector = vectors.control.find((one) => one.kind === kind);
  return { ...vector?.message } as Record<string, unknown>;
}

const bodyOf = (kind: keyof Messages, message: unknown): Uint8Array =>
  encodeMessage(kind, 1, message as Messages[typeof kind]).slice(FRAME_HEADER_BYTES, -4);

/** What may be left out. */
const OPTIONAL: { readonly [K in keyof Messages]?: readonly string[] } = {
  hello: ["laneKey", "maxLanes", "token"],
  goodbye: ["message"],
  request: ["version", "bytes", "rows"],
  offer: ["open", "root"],
  complete: ["root"],
};

const text = (length: number, character = "x") => character.repeat(length);

export const controlSuite: Suite = ({ test }) => {
  test("control: refuses CBOR that is not plain, whatever a general decoder makes of it", () => {
    const hostile: Record<string, string> = {
      "nothing at all": "",
      "a number": "01",
      "an array": "80",
      "a tag around a map": "c0a0",
      "an indefinite map": "bfff",
      "an indefinite text": "a1616d7f6161ff",
      "bytes after the map": "a000",
      "a map that ends early": "a2616d6161",
      "a length past the end": "a1616d7affffffff61",
      "a length of 2^64 - 1": "a1616d7bffffffffffffffff",
      "4,294,967,295 fields": "baffffffff",
      "4,294,967,295 items": "a1616d9affffffff",
      "a key that is a number": "a10101",
      "a key that is a map": "a1a001",
      "a key twice": "a2616d6161616d6162",
      "text that is not UTF-8": "a1616d62c328",
      "half a surrogate pair": "a1616d63eda080",
      "a negative number": "a1616d20",
      "a float": "a1616dfb3ff0000000000000",
      "a half float": "a1616df93c00",
      null: "a1616df6",
      undefined: "a1616df7",
      "a simple value": "a1616de0",
      "a long simple value": "a1616df818",
      "a break alone": "ff",
      "a reserved width": "a1616d1c",
      "five levels": "a1616d81818180",
    };
    for (const [what, hex] of Object.entries(hostile)) {
      assert.throws(() => read("goodbye", fromHex(hex)), ProtocolError, /goodbye/, what);
    }
    const deep = concat([fromHex("a1616d"), new Uint8Array(8000).fill(0x81), fromHex("80")]);
    assert.throws(() => read("goodbye", deep), ProtocolError);
  });

  test("control: fields in any order, unknown ones and longer forms of numbers are taken", () => {
    assert.deepEqual(read("goodbye", fromHex("a26178016161f5")), {});
    assert.deepEqual(read("accept", fromHex("a1656c696d69741b0000000000000005")), { limit: 5 });
    assert.deepEqual(read("accept", fromHex("b90001656c696d69741a00000005")), { limit: 5 });
    const reversed = Object.fromEntries(Object.entries(messageOf("offer")).reverse());
    assert.deepEqual(read("offer", bodyOf("offer", reversed)), messageOf("offer"));
    assert.deepEqual(read("accept", fromHex("a2695f5f70726f746f5f5fa0656c696d697405")), {
      limit: 5,
    });
  });

  test("control: every field of every message must be there and of its type", () => {
    const wrong = [true, 5, "text", new Uint8Array(3), [true], { a: 1 }];
    for (const { kind, message } of vectors.control) {
      for (const [field, value] of Object.entries(message)) {
        for (const other of wrong) {
          const isSame =
            typeof other === typeof value && Array.isArray(other) === Array.isArray(value);
          const isBytes = other instanceof Uint8Array;
          if (isSame && isBytes === value instanceof Uint8Array) continue;
          const body = bodyOf(kind, { ...message, [field]: other });
          assert.throws(() => read(kind, body), ProtocolError, field, `${kind}.${field}`);
        }
        const { [field]: _, ...rest } = message as unknown as Record<string, unknown>;
        if (OPTIONAL[kind]?.includes(field)) continue;
        assert.throws(() => read(kind, bodyOf(kind, rest)), ProtocolError, field, kind);
      }
    }
  });

  test("control: values past their limits are refused, those at them taken", () => {
    const cases: [kind: keyof Messages, field: string, most: unknown, over: unknown][] = [
      ["hello", "instance", new Uint8Array(16), new Uint8Array(17)],
      ["hello", "node", text(256), text(257)],
      ["hello", "node", text(128, "é"), text(129, "é")],
      ["hello", "role", text(32), text(33)],
      ["hello", "codecs", Array(32).fill("c"), Array(33).fill("c")],
      ["hello", "codecs", [text(32)], [text(33)]],
      ["hello", "features", Array(64).fill("f"), Array(65).fill("f")],
      ["hello", "features", [text(64)], [text(65)]],
      ["hello", "token", text(1024), text(1025)],
      ["hello", "maxChunkBytes", 2 ** 53 - 1, 2 ** 53],
      ["hello", "connectionCredit", 2 ** 53 - 1, 2 ** 53],
      ["hello", "maxTransfers", 0, 2 ** 53],
      ["hello", "maxRequests", 0, 2 ** 53],
      ["hello", "laneKey", new Uint8Array(16), new Uint8Array(15)],
      ["hello", "maxLanes", 1, 2 ** 53],
      ["goodbye", "message", text(2048), text(2049)],
      ["error", "message", text(4096), text(4097)],
      ["error", "code", text(32), text(33)],
      ["request", "id", new Uint8Array(16), new Uint8Array(15)],
      ["request", "epoch", 0, 2 ** 53],
      ["request", "priority", 255, 256],
      ["request", "version", new Uint8Array(32), new Uint8Array(33)],
      ["request", "digest", "none", "md5"],
      ["request", "bytes", [0, 2 ** 53 - 1], [0, 2 ** 53]],
      ["request", "bytes", [5, 5], [5]],
      ["request", "rows", [7, 3], [0, 1, 2]],
      ["offer", "root", new Uint8Array(32), new Uint8Array(31)],
      ["accept", "limit", 2 ** 53 - 1, 2 ** 53],
      ["complete", "root", new Uint8Array(32), new Uint8Array(31)],
      ["complete", "version", new Uint8Array(), new Uint8Array(33)],
      ["complete", "chunks", 2 ** 53 - 1, 2 ** 53],
      ["phase", "phase", text(32), text(33)],
      ["reprioritise", "priority", 255, 256],
      ["notify", "change", 2 ** 53 - 1, 2 ** 53],
      ["notify", "kind", "changed", "moved"],
      ["notify", "version", new Uint8Array(32), new Uint8Array(33)],
      ["lane", "lane", 1, 0],
      ["lane", "key", new Uint8Array(16), new Uint8Array(17)],
    ];
    for (const [kind, field, most, over] of cases) {
      const message = messageOf(kind);
      assert.deepInclude(read(kind, bodyOf(kind, { ...message, [field]: most })), {
        [field]: most,
      });
      assert.throws(
        () => read(kind, bodyOf(kind, { ...message, [field]: over })),
        ProtocolError,
        field,
      );
    }
  });

  test("control: addresses, descriptors and patterns are held to their rules", () => {
    const address = { model: "m", partition: "p", tensor: "t" };
    for (const name of ["", text(1025), text(513, "é")]) {
      const request = { ...messageOf("request"), address: { ...address, tensor: name } };
      assert.throws(() => read("request", bodyOf("request", request)), ProtocolError, /address/);
    }
    const descriptors: unknown[] = [
      { dtype: "F99", shape: [1], byteLength: 4 },
      { dtype: "toString", shape: [1], byteLength: 4 },
      { dtype: "F32", shape: [2], byteLength: 4 },
      { dtype: "Q4_0", shape: [31], byteLength: 18 },
      { dtype: "F32", shape: Array(33).fill(1), byteLength: 4 },
      { dtype: "F64", shape: [2 ** 52, 2 ** 52], byteLength: 8 },
      { dtype: "F32", shape: [2 ** 53 - 1], byteLength: 2 ** 53 - 1 },
    ];
    for (const descriptor of descriptors) {
      const offer = { ...messageOf("offer"), descriptor };
      assert.throws(() => read("offer", bodyOf("offer", offer)), ProtocolError, /descriptor/);
    }
    const pattern = { model: "*", partition: "%2F", tensor: "a*%E5%B1%82" };
    assert.deepEqual(read("list", bodyOf("list", { pattern, roots: false })), {
      pattern,
      roots: false,
    });
    for (const name of ["", "a/b", "%zz", "%E5%B1", text(3073)]) {
      const list = { pattern: { ...pattern, partition: name }, roots: false };
      assert.throws(() => read("list", bodyOf("list", list)), ProtocolError, /pattern/);
    }
  });

  test("control: fields that exclude or need each other are held to that", () => {
    const both = { ...messageOf("request"), bytes: [0, 1], rows: [0, 1] };
    assert.throws(() => read("request", bodyOf("request", both)), ProtocolError, /at once/);
    const { descriptor, version, ...bare } = messageOf("notify");
    for (const kind of ["here", "changed"]) {
      assert.ok(read("notify", bodyOf("notify", { ...bare, kind, descriptor, version })));
      for (const half of [{}, { descriptor }, { version }]) {
        const body = bodyOf("notify", { ...bare, ...half, kind });
        assert.throws(() => read("notify", body), ProtocolError, /what is there/);
      }
    }
    assert.ok(read("notify", bodyOf("notify", { ...bare, kind: "gone" })));
    const body = bodyOf("notify", { ...bare, kind: "gone", descriptor, version });
    assert.throws(() => read("notify", body), ProtocolError, /what is gone/);
  });

  test("control: a message over the cap is not sent", () => {
    const names = { model: text(3072), partition: text(3072), tensor: text(3072) };
    assert.throws(
      () => encodeMessage("list", 1, { pattern: names, roots: true }),
      RangeError,
      "8192",
    );
  });

  test("control: a payload without its check is nonsense, one with a wrong check is damaged", () => {
    const frame = encodeMessage("accept", 2, { limit: 1 });
    const header = readFrameHeader(frame);
    const payload = frame.slice(FRAME_HEADER_BYTES);
    assert.throws(
      () => decodeMessage(SHAPES.accept, header, payload.subarray(0, 3)),
      ProtocolError,
    );
    payload[0] = (payload[0] as number) ^ 1;
    assert.throws(() => decodeMessage(SHAPES.accept, header, payload), TransportError, /accept/);
  });

  test("fault: travels with code, message and retryable, and nothing else", () => {
    const error = new IntegrityError("source", "it changed", { cause: new Error("secret /path") });
    const fault = faultOf(error);
    assert.deepEqual(fault, { code: "integrity", retryable: true, message: "it changed" });
    assert.instanceOf(errorOf(fault), IntegrityError);
    assert.deepEqual(faultOf(new TypeError("secret")), {
      code: "internal",
      retryable: false,
      message: "the peer failed inside",
    });
    const remote = errorOf({ code: "from the future", retryable: true, message: "\u001b[31mred" });
    assert.instanceOf(remote, RemoteError);
    assert.isTrue(remote.retryable);
    assert.notInclude(remote.message, "\u001b");
  });

  test("fault: a message cut inside a character still travels", () => {
    const fault = faultOf(new ProtocolError(`x${text(600, "\u{1f600}")}`));
    assert.deepEqual(read("error", bodyOf("error", fault)), fault);
    const wide = faultOf(new ProtocolError(text(2000, "層")));
    assert.deepEqual(read("error", bodyOf("error", wide)), wide);
  });
};
