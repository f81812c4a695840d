import { assert } from "chai";
import fc from "fast-check";
import type { JournalRecord } from "../../lib/checkpoint/journal.ts";
import { Ledger } from "../../lib/checkpoint/ledger.ts";
import type { Suite } from "../harness.ts";

const LEAF = 1024 * 1024;

function begin(ref: number, fileOffset: number, byteLength: number, tensorKey = `t${ref}`) {
  const version = Uint8Array.of(ref);
  const place = { fileName: "f", fileOffset, byteLength, tensorKey };
  return { kind: "begin", ref, ...place, version, boot: "b" } as const;
}

const leaf = (ref: number, index: number) =>
  ({ kind: "leaf", ref, index, digest: new Uint8Array(32).fill(index) }) as const;

function ledgerOf(records: readonly JournalRecord[]): Ledger {
  const ledger = new Ledger();
  for (const record of records) ledger.apply(record);
  return ledger;
}

export const ledgerSuite: Suite = ({ test }) => {
  test("ledger: a tensor that begins anew starts without its leaves", () => {
    const ledger = ledgerOf([begin(1, 0, LEAF), leaf(1, 0), begin(2, 0, LEAF, "t1"), leaf(1, 0)]);
    const tensor = ledger.find(begin(2, 0, LEAF, "t1"));
    assert.equal(tensor?.ref, 2);
    assert.equal(tensor?.leaves.size, 0);
    assert.equal([...ledger.tensors()].length, 1);
  });

  test("ledger: a byte belongs to the tensor that began last, and to no other", () => {
    const naive = (records: readonly ReturnType<typeof begin>[]) => {
      const live: ReturnType<typeof begin>[] = [];
      for (const next of records) {
        const end = next.fileOffset + next.byteLength;
        for (const old of live.splice(0)) {
          const apart = old.fileOffset >= end || old.fileOffset + old.byteLength <= next.fileOffset;
          if (apart) live.push(old);
        }
        live.push(next);
      }
      return live.map((record) => record.ref).sort((a, b) => a - b);
    };
    const ranges = fc.array(fc.tuple(fc.nat(30), fc.integer({ min: 1, max: 9 })), {
      maxLength: 20,
    });
    fc.assert(
      fc.property(ranges, (pairs) => {
        const records = pairs.map(([offset, length], i) => begin(i + 1, offset, length));
        const ledger = ledgerOf(records);
        const found = ledger.ofFile("f").map((tensor) => tensor.ref);
        assert.deepEqual(
          found.toSorted((a, b) => a - b),
          naive(records),
        );
        const offsets = ledger.ofFile("f").map((tensor) => tensor.fileOffset);
        assert.deepEqual(
          offsets,
          offsets.toSorted((a, b) => a - b),
        );
      }),
    );
  });

  test("ledger: a record takes something back just when a claim of the same bytes is there", () => {
    const ranges = fc.array(fc.tuple(fc.nat(30), fc.nat(9)), { maxLength: 20 });
    fc.assert(
      fc.property(ranges, fc.tuple(fc.nat(30), fc.nat(9)), (pairs, [offset, length]) => {
        const ledger = ledgerOf(pairs.map(([at, bytes], i) => begin(i + 1, at, bytes)));
        const overlaps = ledger
          .ofFile("f")
          .some(
            (claim) =>
              claim.fileOffset < offset + length && offset < claim.fileOffset + claim.byteLength,
          );
        assert.equal(ledger.takesBack(begin(99, offset, length)), length > 0 && overlaps);
        assert.isFalse(ledger.takesBack({ ...begin(99, offset, length), fileName: "g" }));
      }),
    );
    const ledger = ledgerOf([begin(1, 0, LEAF)]);
    assert.isTrue(ledger.takesBack({ kind: "forget", ref: 1, index: 0 }));
    assert.isFalse(ledger.takesBack(leaf(1, 0)));
    assert.isFalse(ledger.takesBack({ kind: "commit", ref: 1, root: undefined }));
  });

  test("ledger: records of unknown tensors, leaves past the end and early commits change nothing", () => {
    const ledger = ledgerOf([
      begin(1, 0, 2 * LEAF),
      leaf(9, 0),
      leaf(1, 2),
      leaf(1, 0),
      { kind: "commit", ref: 1, root: undefined },
      { kind: "forget", ref: 9, index: 0 },
    ]);
    const [tensor] = ledger.tensors();
    assert.deepEqual([...(tensor?.leaves.keys() ?? [])], [0]);
    assert.isFalse(tensor?.committed);
  });

  test("ledger: a forgotten leaf undoes the commit, and any new byte undoes a finish", () => {
    const done: JournalRecord[] = [
      begin(1, 0, LEAF),
      leaf(1, 0),
      { kind: "commit", ref: 1, root: new Uint8Array(32) },
      { kind: "place", fileName: "f", byteLength: LEAF },
      { kind: "finish", files: 1, overwrite: true },
    ];
    const files = [{ fileName: "f", byteLength: LEAF }];
    assert.deepEqual(ledgerOf(done).finishing, { files, overwrite: true });
    const undone = ledgerOf([...done, { kind: "forget", ref: 1, index: 0 }]);
    assert.isUndefined(undone.finishing);
    assert.isFalse([...undone.tensors()][0]?.committed);
    assert.isUndefined(ledgerOf([...done, begin(2, LEAF, 5)]).finishing);
    const torn = done.filter((record) => record.kind !== "place");
    assert.isUndefined(ledgerOf(torn).finishing);
  });

  test("ledger: its own records add up to the same ledger, and numbers are never used again", () => {
    const ledger = ledgerOf([
      begin(1, 0, LEAF),
      begin(2, 10, 2 * LEAF),
      begin(7, 4 * LEAF, 0),
      leaf(2, 1),
      leaf(2, 0),
      { kind: "commit", ref: 2, root: undefined },
      { kind: "place", fileName: "f", byteLength: 3 },
      { kind: "finish", files: 1, overwrite: false },
    ]);
    const again = ledgerOf([...ledger.records()]);
    assert.deepEqual([...again.tensors()], [...ledger.tensors()]);
    assert.deepEqual(again.finishing, ledger.finishing);
    assert.equal(again.takeRef(), 8);
  });
};
