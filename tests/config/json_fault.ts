import { assert } from "chai";
import fc from "fast-check";
import { findJsonFault } from "../../lib/config/json_fault.ts";
import type { Suite } from "../harness.ts";

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** JSON with one character put in, taken out or changed. */
const damaged = fc
  .tuple(
    fc.json(),
    fc.nat(),
    fc.constantFrom(0, 1),
    fc.constantFrom("", ..."{}[],:\"'\\/ \n\t\u0001truefalsn0123.+-eE"),
  )
  .map(([json, place, removed, inserted]) => {
    const at = place % (json.length + 1);
    return json.slice(0, at) + inserted + json.slice(at + removed);
  });

export const jsonFaultSuite: Suite = ({ test }) => {
  test("json fault: finds one exactly where JSON.parse refuses the text", () => {
    fc.assert(
      fc.property(damaged, (text) => {
        assert.equal(findJsonFault(text) === undefined, isJson(text), JSON.stringify(text));
      }),
      { numRuns: 5000 },
    );
  });

  test("json fault: names line, column, what was wanted and what is there", () => {
    const faultOf = (text: string) => {
      const { line, column, wanted, found } = findJsonFault(text) ?? assert.fail("no fault");
      return `${line}:${column} ${wanted} | ${found}`;
    };
    assert.equal(faultOf('{\n  "a": 1,\n}'), '3:1 a key in double quotes | "}"');
    assert.equal(faultOf('{"a": 1 "b": 2}'), '1:9 "," or "}" | "\\""');
    assert.equal(faultOf("{\r\n\t'a': 1}"), `2:2 a key in double quotes or "}" | "'"`);
    assert.equal(faultOf('{"a": [1, 2,]}'), '1:13 a value | "]"');
    assert.equal(faultOf('{"a": [1, 2}'), '1:12 "," or "]" | "}"');
    assert.equal(faultOf('{"a" 1}'), '1:6 ":" | "1"');
    assert.equal(faultOf("{"), '1:2 a key in double quotes or "}" | the end');
    assert.equal(faultOf("[\n"), '2:1 a value or "]" | the end');
    assert.equal(faultOf(""), "1:1 a value | the end");
    assert.equal(faultOf("{} // note"), '1:4 the end | "/"');
    assert.equal(faultOf("[01]"), '1:2 a value or "]" | "0"');
  });

  test("json fault: deep and long text costs no stack", () => {
    assert.equal(findJsonFault("[".repeat(500_000))?.column, 500_001);
    assert.isUndefined(findJsonFault(`["${"x".repeat(1_000_000)}"]`));
  });
};
