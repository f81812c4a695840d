import { assert } from "chai";
import {
  bytes,
  flag,
  list,
  Mismatch,
  oneOf,
  optional,
  passing,
  record,
  type Shape,
  text,
  whole,
} from "../../lib/wire/shape.ts";
import type { Suite } from "../harness.ts";

/** What a shape says of a value that it does not take, and where. */
function refusal(shape: Shape<unknown>, value: unknown): string {
  try {
    shape(value, "");
  } catch (error) {
    assert.instanceOf(error, Mismatch);
    return `${error.path}: ${error.message}`;
  }
  throw new Error("The value was taken.");
}

export const shapeSuite: Suite = ({ test }) => {
  test("shape: a value is taken as it is, one past a bound is named with what was found", () => {
    assert.equal(whole(1, 5)(5, ""), 5);
    for (const wrong of [0, 6, 1.5, Number.NaN, 2 ** 53, "5", undefined]) {
      assert.match(refusal(whole(1, 5), wrong), /wanted a whole number from 1 to 5/);
    }
    assert.equal(refusal(whole(1, 5), 6), ": wanted a whole number from 1 to 5, found 6");
    assert.equal(flag(false, ""), false);
    assert.equal(refusal(flag, 1), ": wanted true or false, found 1");
    assert.equal(oneOf("a", "b")("b", ""), "b");
    assert.equal(refusal(oneOf("a", "b"), "c"), ": wanted a or b, found text of 1");
    assert.equal(bytes(1, 2)(Uint8Array.of(1, 2), "").byteLength, 2);
    assert.equal(refusal(bytes(1, 2), new Uint8Array(3)), ": wanted 1 to 2 bytes, found 3 bytes");
    assert.equal(refusal(bytes(1, 2), [1]), ": wanted 1 to 2 bytes, found a list of 1");
  });

  test("shape: text is measured in UTF-8, and never repeated in what is said of it", () => {
    assert.equal(text(4)("éé", ""), "éé");
    assert.equal(refusal(text(4), "ééé"), ": wanted text of 0 to 4 bytes, found text of 3");
    assert.equal(refusal(text(4, 1), ""), ": wanted text of 1 to 4 bytes, found text of 0");
    assert.notInclude(refusal(text(4), "secret"), "secret");
  });

  test("shape: lists and records say which element and field is wrong", () => {
    const shape = record<{ a: number[]; b?: string | undefined }>({
      a: list(whole(), 2, 1),
      b: optional(text(3)),
    });
    assert.deepEqual(shape({ a: [1, 2], b: "x" }, ""), { a: [1, 2], b: "x" });
    assert.equal(refusal(shape, { a: [1, -1] }).split(":")[0], "a.1");
    assert.match(refusal(shape, { a: [] }), /^a: wanted a list of 1 to 2, found a list of 0$/);
    assert.match(refusal(shape, { b: "x" }), /^a: .*found nothing$/);
    assert.match(refusal(shape, { a: [1], b: 5 }), /^b: .*found 5$/);
    for (const wrong of [undefined, null, 5, "text", [], true]) {
      assert.match(refusal(shape, wrong), /^: wanted a map/);
    }
  });

  test("shape: a record takes its own fields only, and leaves out what is missing", () => {
    const shape = record<{ a: number; b?: number | undefined }>({
      a: whole(),
      b: optional(whole()),
    });
    const hostile = Object.assign(Object.create(null), { a: 1, c: 2, ["__proto__"]: 3 });
    const taken = shape(hostile, "");
    assert.deepEqual(Object.keys(taken), ["a"]);
    assert.equal(Object.getPrototypeOf(taken), Object.prototype);
  });

  test("shape: a check refuses by false and by throwing, after the shape has", () => {
    const even = passing(whole(), "an even number", (value) => value % 2 === 0);
    assert.equal(even(4, ""), 4);
    assert.equal(refusal(even, 3), ": wanted an even number, found 3");
    assert.match(refusal(even, "x"), /wanted a whole number/);
    const never = passing(whole(), "a miracle", () => {
      throw new Error("no");
    });
    assert.equal(refusal(never, 3), ": wanted a miracle, found 3");
  });
};
