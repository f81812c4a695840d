import { assert } from "chai";
import fc from "fast-check";
import {
  decodeJournal,
  encodeJournalRecord,
  type JournalRecord,
} from "../../lib/checkpoint/journal.ts";
import {
  encodeJournalFloor,
  encodeJournalHeader,
  FLOOR_BYTES,
} from "../../lib/checkpoint/journal_header.ts";
import type { Suite } from "../harness.ts";

const KEY = "llama/*/é";
const HOME = "7 é";
const ref = fc.nat({ max: 0xffffffff });
const offset = fc.nat({ max: 2 ** 52 });
const digest = fc.uint8Array({ minLength: 32, maxLength: 32 });
const text = fc.string({ unit: "grapheme", maxLength: 12 }).filter((name) => name.isWellFormed());

const anyRecord: fc.Arbitrary<JournalRecord> = fc.oneof(
  fc.record({
    kind: fc.constant("begin" as const),
    ref,
    fileName: text,
    fileOffset: offset,
    byteLength: offset,
    tensorKey: text,
    version: fc.uint8Array({ maxLength: 32 }),
    boot: text,
  }),
  fc.record({ kind: fc.constant("leaf" as const), ref, index: offset, digest }),
  fc.record({ kind: fc.constant("forget" as const), ref, index: offset }),
  fc.record({
    kind: fc.constant("commit" as const),
    ref,
    root: fc.option(digest, { nil: undefined }),
  }),
  fc.record({ kind: fc.constant("place" as const), fileName: text, byteLength: offset }),
  fc.record({ kind: fc.constant("finish" as const), files: ref, overwrite: fc.boolean() }),
);
const anyRecords = fc.array(anyRecord, { maxLength: 8 });

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function encode(records: readonly JournalRecord[], key = KEY): Uint8Array {
  return join([encodeJournalHeader(key, HOME), ...records.map(encodeJournalRecord)]);
}

/** What is read is the beginning of what was written. */
function assertBeginning(found: readonly JournalRecord[], all: readonly JournalRecord[]): void {
  assert.deepEqual(found, all.slice(0, found.length));
}

export const journalSuite: Suite = ({ test }) => {
  test("journal: gives back what was written, past 2^32 too", () => {
    fc.assert(
      fc.property(anyRecords, (records) => {
        assert.deepEqual(decodeJournal(encode(records)), {
          key: KEY,
          home: HOME,
          records,
          clean: true,
        });
      }),
    );
    const far: JournalRecord = { kind: "forget", ref: 0xffffffff, index: 2 ** 33 - 1 };
    assert.deepEqual(decodeJournal(encode([far]))?.records, [far]);
  });

  test("journal: a torn tail costs the record it tore and nothing before it", () => {
    fc.assert(
      fc.property(anyRecords, (records) => {
        const whole = encode(records);
        const ends = new Set<number>();
        let end = encodeJournalHeader(KEY, HOME).byteLength;
        for (const record of records) {
          ends.add(end);
          end += encodeJournalRecord(record).byteLength;
        }
        for (let length = 0; length < whole.byteLength; length++) {
          const decoded = decodeJournal(whole.subarray(0, length));
          if (decoded === undefined) continue;
          assertBeginning(decoded.records, records);
          assert.equal(decoded.clean, ends.has(length));
          if (decoded.clean) assert.equal(decoded.records.length, [...ends].indexOf(length));
        }
      }),
      { numRuns: 20 },
    );
  });

  test("journal: no flipped bit yields a record that was not written", () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { minLength: 1, maxLength: 4 }), (records) => {
        const whole = encode(records);
        for (let bit = 0; bit < whole.byteLength * 8; bit++) {
          const damaged = whole.slice();
          damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
          const decoded = decodeJournal(damaged);
          if (decoded === undefined) continue;
          assert.isFalse(decoded.clean);
          assertBeginning(decoded.records, records);
        }
      }),
      { numRuns: 10 },
    );
  });

  test("journal: one that is shorter than when it last took something back is not clean", () => {
    const records: JournalRecord[] = [0, 1, 2].map((index) => ({ kind: "forget", ref: 1, index }));
    const whole = encode(records);
    const headerBytes = encodeJournalHeader(KEY, HOME).byteLength;
    const withFloor = (floor: Uint8Array) => {
      const bytes = whole.slice();
      bytes.set(floor, headerBytes - FLOOR_BYTES);
      return decodeJournal(bytes);
    };
    const expected = (clean: boolean) => ({ key: KEY, home: HOME, records, clean });
    for (const [floorBytes, clean] of [
      [0, true],
      [whole.byteLength, true],
      [whole.byteLength + 1, false],
      [2 ** 52, false],
    ] as const) {
      assert.deepEqual(withFloor(encodeJournalFloor(floorBytes)), expected(clean));
    }
    for (let bit = 0; bit < FLOOR_BYTES * 8; bit++) {
      const floor = encodeJournalFloor(1);
      floor[bit >> 3] = (floor[bit >> 3] as number) ^ (1 << (bit & 7));
      assert.deepEqual(withFloor(floor), expected(false), `bit ${bit}`);
    }
    assert.deepEqual(withFloor(new Uint8Array(FLOOR_BYTES)), expected(false));
  });

  test("journal: garbage is refused or yields nothing, never a throw", () => {
    const header = encodeJournalHeader(KEY, HOME);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (garbage) => {
        assert.isUndefined(decodeJournal(garbage));
        assert.deepEqual(decodeJournal(join([header, garbage]))?.records, []);
      }),
      { numRuns: 2000 },
    );
  });

  test("journal: a body that our writer would not make is damage even with a right check", () => {
    const good: JournalRecord = { kind: "forget", ref: 1, index: 2 };
    const short: JournalRecord = { kind: "leaf", ref: 1, index: 2, digest: new Uint8Array(31) };
    const decoded = decodeJournal(encode([good, short, good]));
    assert.deepEqual(decoded, { key: KEY, home: HOME, records: [good], clean: false });
  });

  test("journal: another magic, version or key length is not this journal; the key is told", () => {
    const whole = encode([], "another");
    assert.equal(decodeJournal(whole)?.key, "another");
    for (const at of [0, 8, 12, 16, 20, 24, 31]) {
      const other = whole.slice();
      other[at] = (other[at] as number) ^ 1;
      assert.isUndefined(decodeJournal(other), `byte ${at}`);
    }
    assert.throws(() => encodeJournalHeader("x".repeat(4097), ""), RangeError, /4096/);
    assert.throws(() => encodeJournalHeader("", "x".repeat(257)), RangeError, /256/);
  });
};
