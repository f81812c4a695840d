import { assert } from "chai";
import fc from "fast-check";
import { parseByteCount, parseDurationMs } from "../../lib/config/quantity.ts";
import type { Suite } from "../harness.ts";

const BYTES = { "": 1, B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };
const MS = { "": 1, ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 };

/** A number, a gap or none, and a unit, with what they come to. */
function quantities(units: Readonly<Record<string, number>>) {
  return fc
    .tuple(fc.nat(), fc.constantFrom("", " "), fc.constantFrom(...Object.keys(units)))
    .map(([count, gap, unit]) => ({
      text: `${count}${unit === "" ? "" : gap}${unit}`,
      wanted: count * (units[unit] as number),
    }));
}

const BYTES_TEXT = /^[0-9]+( ?(B|[KMGT]iB))?$/;
const MS_TEXT = /^[0-9]+( ?(ms|s|min|h|d))?$/;

export const quantitySuite: Suite = ({ test }) => {
  test("quantity: a whole number times its unit, for every number and unit", () => {
    fc.assert(
      fc.property(quantities(BYTES), ({ text, wanted }) => {
        assert.equal(parseByteCount(text), wanted, text);
      }),
    );
    fc.assert(
      fc.property(quantities(MS), ({ text, wanted }) => {
        assert.equal(parseDurationMs(text), wanted, text);
      }),
    );
  });

  test("quantity: whatever is not a number and a known unit is not a number", () => {
    const near = fc.string({ unit: fc.constantFrom(..."019 .+-eKMGTiBbmshd\n") });
    fc.assert(
      fc.property(fc.oneof(near, fc.string()), (text) => {
        assert.equal(Number.isNaN(parseByteCount(text)), !BYTES_TEXT.test(text), text);
        assert.equal(Number.isNaN(parseDurationMs(text)), !MS_TEXT.test(text), text);
      }),
      { numRuns: 2000 },
    );
    for (const text of [
      "",
      "MiB",
      "1 ",
      " 1",
      "1  B",
      "1.5MiB",
      "-1",
      "+1",
      "1e3",
      "0x10",
      "1MB",
      "1kB",
      "4mib",
    ]) {
      assert.isNaN(parseByteCount(text), text);
    }
    for (const text of ["", "s", "0.5s", "-1ms", "2 hours", "2S", "1constructor"]) {
      assert.isNaN(parseDurationMs(text), text);
    }
  });
};
