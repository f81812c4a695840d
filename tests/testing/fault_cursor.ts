import { assert } from "chai";
import fc from "fast-check";
import type { Fault } from "../../lib/testing/fault.ts";
import { FaultCursor } from "../../lib/testing/fault_cursor.ts";
import type { Suite } from "../harness.ts";

/** What passed, and the faults for the mover with how much had passed before each. */
interface Walk {
  readonly passed: number[];
  readonly faults: readonly (readonly [kind: string, passedBefore: number])[];
}

function walk(cursor: FaultCursor, slices: readonly Uint8Array[]): Walk {
  const passed: number[] = [];
  const faults: [string, number][] = [];
  for (const slice of [new Uint8Array(), ...slices]) {
    for (const step of cursor.take(slice)) {
      if ("pass" in step) passed.push(...step.pass);
      else faults.push([step.fault.kind, passed.length]);
    }
  }
  return { passed, faults };
}

const numbered = (length: number): Uint8Array => Uint8Array.from({ length }, (_, n) => n);

function slicesOf(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const slices: Uint8Array[] = [];
  let at = 0;
  for (const size of sizes) {
    slices.push(bytes.subarray(at, at + size));
    at += size;
  }
  return [...slices, bytes.subarray(at)];
}

const aFault: fc.Arbitrary<Fault> = fc
  .record({
    kind: fc.constantFrom("cut", "truncate", "stall", "flip", "duplicate", "swallow" as const),
    atByte: fc.nat(110),
    bytes: fc.nat(20),
  })
  .map(({ kind, atByte, bytes }): Fault => {
    if (kind === "flip") return { kind, atByte, bits: 1 + bytes };
    if (kind === "stall") return { kind, atByte, forMs: bytes };
    return kind === "cut" ? { kind, atByte } : { kind: kind as "swallow", atByte, bytes };
  });

export const faultCursorSuite: Suite = ({ test }) => {
  test("fault cursor: each kind does what it says to the bytes, and to no others", () => {
    const after = (...faults: Fault[]) => walk(new FaultCursor(faults), [numbered(10)]);
    assert.deepEqual(after(), { passed: [...numbered(10)], faults: [] });
    assert.deepEqual(
      after({ kind: "flip", atByte: 3, bits: 0x81 }).passed,
      [0, 1, 2, 0x82, 4, 5, 6, 7, 8, 9],
    );
    assert.deepEqual(
      after({ kind: "duplicate", atByte: 2, bytes: 3 }).passed,
      [0, 1, 2, 3, 4, 2, 3, 4, 5, 6, 7, 8, 9],
    );
    assert.deepEqual(after({ kind: "swallow", atByte: 1, bytes: 7 }).passed, [0, 8, 9]);
    assert.deepEqual(after({ kind: "truncate", atByte: 4, bytes: 2 }), {
      passed: [0, 1, 2, 3, 6, 7, 8, 9],
      faults: [["truncate", 4]],
    });
    assert.deepEqual(after({ kind: "cut", atByte: 0 }, { kind: "cut", atByte: 10 }).faults, [
      ["cut", 0],
      ["cut", 10],
    ]);
    assert.deepEqual(after({ kind: "cut", atByte: 11 }).faults, []);
  });

  test("fault cursor: a fault happens as soon as the bytes before it have passed", () => {
    const cursor = new FaultCursor([
      { kind: "stall", atByte: 5, forMs: 1 },
      { kind: "delay", atByte: 0, delayMs: 1 },
      { kind: "truncate", atByte: 6, bytes: 0 },
    ]);
    assert.deepEqual(walk(cursor, []).faults, [["delay", 0]]);
    assert.deepEqual(walk(cursor, [numbered(5)]).faults, [["stall", 5]]);
    assert.deepEqual(walk(cursor, [numbered(1)]).faults, [["truncate", 1]]);
    assert.equal(cursor.takenBytes, 6);
    assert.deepEqual(
      cursor.happened.map(({ kind }) => kind),
      ["delay", "stall", "truncate"],
    );
  });

  test("fault cursor: a fault that falls into another one's bytes happens after them", () => {
    const cursor = new FaultCursor([
      { kind: "duplicate", atByte: 1, bytes: 4 },
      { kind: "cut", atByte: 2 },
      { kind: "flip", atByte: 3, bits: 1 },
    ]);
    const { passed, faults } = walk(cursor, slicesOf(numbered(8), [3]));
    assert.deepEqual(passed, [0, 1, 2, 3, 4, 1, 2, 3, 4, 4, 6, 7]);
    assert.deepEqual(faults, [["cut", 9]]);
  });

  test("fault cursor: any slicing of the same bytes ends in the same", () => {
    fc.assert(
      fc.property(
        fc.array(aFault, { maxLength: 5 }),
        fc.array(fc.nat(30), { maxLength: 20 }),
        (faults, sizes) => {
          const bytes = numbered(100);
          const whole = walk(new FaultCursor(faults), [bytes]);
          const sliced = walk(new FaultCursor(faults), slicesOf(bytes, sizes));
          assert.deepEqual(sliced, whole);
          assert.deepEqual(bytes, numbered(100), "what was given is left as it was");
        },
      ),
      { seed: 5, numRuns: 300 },
    );
  });

  test("fault cursor: what nothing is wrong with is passed on uncopied", () => {
    const bytes = numbered(10);
    for (const step of new FaultCursor([{ kind: "flip", atByte: 4, bits: 1 }]).take(bytes)) {
      if (!("pass" in step)) assert.fail("there is no fault for the mover");
      const isDamaged = step.pass.byteLength === 1;
      assert.equal(step.pass.buffer !== bytes.buffer, isDamaged);
    }
  });
};
