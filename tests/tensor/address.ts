import { assert } from "chai";
import fc from "fast-check";
import {
  checkAddress,
  formatAddress,
  matchesAddress,
  parseAddress,
  parsePattern,
  type TensorAddress,
} from "../../lib/tensor/address.ts";
import type { Suite } from "../harness.ts";

/** Names with what could go wrong in them: separators, wildcards, escapes, anything of Unicode. */
const anyName = fc
  .array(
    fc.oneof(fc.constantFrom("*", "/", "%", "%2F", ".", "\0", " "), fc.string({ unit: "binary" })),
    {
      minLength: 1,
      maxLength: 12,
    },
  )
  .map((pieces) => pieces.join(""))
  .filter((name) => name.length > 0 && name.isWellFormed());

const anyAddress = fc.record({ model: anyName, partition: anyName, tensor: anyName });

const tensorNamed = (tensor: string): TensorAddress => ({ model: "m", partition: "p", tensor });

/** Whether the pattern's pieces fit, by trying everything; `*` is `undefined`. */
function fits(pattern: readonly (string | undefined)[], name: string): boolean {
  let ends = new Set([0]);
  for (const piece of pattern) {
    const next = new Set<number>();
    for (const at of ends) {
      if (piece === undefined) for (let end = at; end <= name.length; end++) next.add(end);
      else if (name.startsWith(piece, at)) next.add(at + piece.length);
    }
    ends = next;
  }
  return ends.has(name.length);
}

export const addressSuite: Suite = ({ test }) => {
  test("address: any names survive the text form, which splits at its own slashes only", () => {
    fc.assert(
      fc.property(anyAddress, (address) => {
        const text = formatAddress(address);
        assert.deepEqual(parseAddress(text), address);
        assert.lengthOf(text.split("/"), 3);
        assert.notInclude(text, "*");
      }),
    );
  });

  test("address: the escaped forms of separators, wildcards, percent signs and Unicode", () => {
    const address = { model: "a/b", partition: "*", tensor: "100% é😀" };
    assert.equal(formatAddress(address), "a%2Fb/%2A/100%25%20%C3%A9%F0%9F%98%80");
    assert.deepEqual(parseAddress("m/p/h.0.é"), tensorNamed("h.0.é"));
    assert.deepEqual(parseAddress("gpt2/wte"), {
      model: "gpt2",
      partition: "default",
      tensor: "wte",
    });
  });

  test("address: text that is no address is refused with what is wrong", () => {
    assert.throws(() => parseAddress("m"), TypeError, /"m" names no tensor/);
    assert.throws(() => parseAddress("a/b/c/d"), TypeError, /at most three names.*found 4/);
    assert.throws(() => parseAddress("m//t"), TypeError, /partition .* not empty/);
    assert.throws(() => parseAddress("m/p/%zz"), TypeError, /not valid percent-encoding/);
    assert.throws(() => parseAddress("m/p/%C3"), TypeError, /not valid percent-encoding/);
    assert.throws(() => checkAddress(tensorNamed("\ud83d")), TypeError, /half a surrogate pair/);
    assert.throws(() => formatAddress(tensorNamed("")), TypeError, /tensor .* not empty/);
  });

  test("address: a name takes at most 1024 bytes of UTF-8", () => {
    checkAddress(tensorNamed("é".repeat(512)));
    assert.throws(() => checkAddress(tensorNamed(`${"é".repeat(512)}a`)), RangeError, /found 1025/);
  });

  test("address: an address matches its own text form as a pattern, and only it", () => {
    fc.assert(
      fc.property(anyAddress, anyAddress, (address, other) => {
        const pattern = parsePattern(formatAddress(address));
        assert.isTrue(matchesAddress(pattern, address));
        assert.equal(
          matchesAddress(pattern, other),
          formatAddress(other) === formatAddress(address),
        );
      }),
    );
  });

  test("address: wildcards match what trying everything matches", () => {
    const letter = fc.constantFrom("a", "b", "*", "%", "/");
    const piece = fc.option(fc.string({ unit: letter, minLength: 1, maxLength: 3 }), {
      nil: undefined,
    });
    fc.assert(
      fc.property(
        fc.array(piece, { minLength: 1, maxLength: 6 }),
        fc.string({ unit: letter, minLength: 1, maxLength: 10 }),
        (pieces, name) => {
          const text = pieces.map((each) =>
            each === undefined ? "*" : encodeURIComponent(each).replaceAll("*", "%2A"),
          );
          const pattern = parsePattern(`m/p/${text.join("")}`);
          assert.equal(matchesAddress(pattern, tensorNamed(name)), fits(pieces, name));
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("address: names left out of a pattern match everything", () => {
    const address = { model: "gpt2", partition: "default", tensor: "h.0.attn" };
    for (const text of ["", "*", "gpt2", "gpt2/", "gpt2//h.*", "g*2/*", "*/*/h.0.*", "//"]) {
      assert.isTrue(matchesAddress(parsePattern(text), address), text);
    }
    for (const text of ["gpt", "gpt2/x", "gpt2/*/h.1.*", "%2A", "gpt2/*/*b"]) {
      assert.isFalse(matchesAddress(parsePattern(text), address), text);
    }
  });

  test("address: a pattern that is no pattern is refused when it is read", () => {
    assert.throws(() => parsePattern("a/b/c/d"), TypeError, /at most three/);
    assert.throws(() => parsePattern("m/%zz"), TypeError, /percent-encoding/);
    assert.throws(() => parsePattern("m/%*41"), TypeError, /percent-encoding/);
    assert.throws(() => parsePattern("m/%C3*%A9"), TypeError, /percent-encoding/);
  });

  test("address: a hostile pattern is answered, not backtracked for ever", () => {
    const longest = tensorNamed("a".repeat(1024));
    const hopeless = parsePattern(`m/p/${"a*".repeat(512)}b`);
    const barely = parsePattern(`m/p/${"a*".repeat(1023)}a`);
    for (let round = 0; round < 50; round++) {
      assert.isFalse(matchesAddress(hopeless, longest));
      assert.isTrue(matchesAddress(barely, longest));
    }
    assert.isFalse(matchesAddress(parsePattern(`m/p/${"a*".repeat(1024)}a`), longest));
  });
};
