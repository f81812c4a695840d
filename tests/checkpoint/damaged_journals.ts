import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "chai";
import { decodeJournal, encodeJournalRecord } from "../../lib/checkpoint/journal.ts";
import { journalHome } from "../../lib/checkpoint/journal_file.ts";
import {
  decodeJournalHeader,
  encodeJournalFloor,
  encodeJournalHeader,
  FLOOR_BYTES,
} from "../../lib/checkpoint/journal_header.ts";
import type { StagedOutput } from "../../lib/checkpoint/staged_output.ts";
import { equalBytes } from "../../lib/tensor/bytes.ts";
import { LEAF_BYTES, leafCount } from "../../lib/tensor/leaf.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import {
  bytesOf,
  fetchTensor,
  heldIndices,
  openFolder,
  sha256,
  sinkOf,
  V1,
  V2,
  writeLeaf,
} from "./staging_fixture.ts";

const A_BYTES = 90;
const B_BYTES = 60;
const [a1, a2] = [bytesOf(A_BYTES, 1), bytesOf(A_BYTES, 2)];
const [b1, b2] = [bytesOf(B_BYTES, 3), bytesOf(B_BYTES, 4)];

/** What a source may turn out to have when the transfer goes on: either of what was seen of it. */
const TARGETS: readonly { version: Uint8Array; a: Uint8Array; b: Uint8Array }[] = [
  { version: V1, a: a1, b: b1 },
  { version: V2, a: a2, b: b2 },
];

/** Keeps what the sink claims to have of these bytes, as a session does; tells how much that was. */
async function fetchSame(
  output: StagedOutput,
  fileName: string,
  fileOffset: number,
  bytes: Uint8Array,
  version: Uint8Array,
): Promise<number> {
  const sink = sinkOf(output, fileName, fileOffset, bytes.byteLength);
  const digestOf = (index: number) =>
    sha256(bytes.subarray(index * LEAF_BYTES, (index + 1) * LEAF_BYTES));
  const claimed = (await sink.held())?.leaves ?? [];
  const keep = claimed.filter(({ index, digest }) => equalBytes(digest, digestOf(index)));
  await sink.begin(version, keep);
  for (let index = 0; index < leafCount(bytes.byteLength); index++) {
    if (!keep.some((leaf) => leaf.index === index)) await writeLeaf(sink, bytes, index);
  }
  await sink.commit(undefined);
  await sink.release();
  return keep.length;
}

/** A checkpoint at the moment its process was killed: the journal, and the bytes it speaks of. */
interface Remains {
  readonly journal: Uint8Array;
  readonly file: Uint8Array;
}

const staged = (folder: string, name: string) => join(folder, ".headrace", name);

/** Everything that a journal can take back: leaves overwritten, versions changed, ranges moved. */
async function leaveRemains(folder: string): Promise<Remains> {
  const output = await openFolder(folder);
  await fetchTensor(output, "f", 30, a1, V1); // lies across both, until one of them begins
  await fetchTensor(output, "f", 0, a1, V1);
  await fetchTensor(output, "f", A_BYTES, b2, V1);
  const b = sinkOf(output, "f", A_BYTES, B_BYTES);
  await b.begin(V1, (await b.held())?.leaves ?? []);
  await writeLeaf(b, b1, 0); // the same leaf of the same version, other bytes
  await b.commit(undefined);
  await b.release();
  await fetchTensor(output, "f", 0, a2, V2);
  await fetchTensor(output, "f", A_BYTES, b2, V2);
  const remains = {
    journal: new Uint8Array(readFileSync(staged(folder, ".journal"))),
    file: new Uint8Array(readFileSync(staged(folder, "f"))),
  };
  await output.discard();
  return remains;
}

/** Puts the remains where nothing is, the journal damaged after it has been given its new home. */
async function putRemains(
  folder: string,
  { journal, file }: Remains,
  damage: (journal: Uint8Array) => Uint8Array,
): Promise<void> {
  mkdirSync(join(folder, ".headrace"), { recursive: true });
  writeFileSync(staged(folder, "f"), file);
  const path = staged(folder, ".journal");
  const handle = await open(path, "w+");
  try {
    const old = decodeJournalHeader(journal);
    assert.isDefined(old);
    if (old === undefined) return;
    const header = encodeJournalHeader(old.key, journalHome(path, handle));
    const floorBytes = old.floorBytes - old.byteLength + header.byteLength;
    header.set(encodeJournalFloor(floorBytes), header.byteLength - FLOOR_BYTES);
    const records = journal.subarray(old.byteLength);
    await handle.write(damage(Uint8Array.from([...header, ...records])));
  } finally {
    await handle.close();
  }
}

/** How much would have to be cut off for each record to be the last, whatever its header's length. */
function recordEnds(journal: Uint8Array): Set<number> {
  const ends = new Set<number>();
  let lost = 0;
  for (const record of decodeJournal(journal)?.records.toReversed() ?? []) {
    ends.add(lost);
    lost += encodeJournalRecord(record).byteLength;
  }
  return ends.add(lost);
}

/** Goes on from what is there; the file must be right, whatever was claimed. Tells what was kept. */
async function finishAs(folder: string, target: (typeof TARGETS)[number]): Promise<number> {
  const output = await openFolder(folder);
  const { a, b, version } = target;
  const kept =
    (await fetchSame(output, "f", 0, a, version)) +
    (await fetchSame(output, "f", A_BYTES, b, version));
  await output.finish([{ fileName: "f", byteLength: A_BYTES + B_BYTES }]);
  const found = readFileSync(join(folder, "f"));
  assert.deepEqual([...found.subarray(0, A_BYTES)], [...a]);
  assert.deepEqual([...found.subarray(A_BYTES)], [...b]);
  rmSync(folder, { recursive: true });
  return kept;
}

/** Runs one case after the other in a few folders at once. */
async function inFolders(
  parent: string,
  cases: readonly ((folder: string) => Promise<void>)[],
): Promise<void> {
  const queue = cases.values();
  const lanes = [0, 1, 2, 3].map(async (lane) => {
    for (const one of queue) await one(join(parent, `lane ${lane}`));
  });
  await Promise.all(lanes);
}

export const damagedJournalsSuite: Suite = ({ test }) => {
  test("damaged journal: cut off at any byte, it costs what it lost and never a wrong tensor", () =>
    withTempFolder(async (parent) => {
      const remains = await leaveRemains(join(parent, "source"));
      const kept: number[] = [];
      // Between records it looks as if it were whole: there, both targets matter.
      const ends = recordEnds(remains.journal);
      const cases = Array.from({ length: remains.journal.byteLength + 1 }, (_, lost) =>
        TARGETS.filter((_, n) => ends.has(lost) || n === lost % 2).map(
          (target) => async (folder: string) => {
            await putRemains(folder, remains, (journal) =>
              journal.subarray(0, journal.length - lost),
            );
            kept.push(await finishAs(folder, target));
          },
        ),
      );
      await inFolders(parent, cases.flat());
      for (const count of [0, 1, 2]) assert.include(kept, count, "some was lost, and some was not");
    }));

  test("damaged journal: a bit flipped in any byte costs a fresh look and never a wrong tensor", () =>
    withTempFolder(async (parent) => {
      const remains = await leaveRemains(join(parent, "source"));
      const kept: number[] = [];
      const cases = Array.from(remains.journal, (_, at) => async (folder: string) => {
        await putRemains(folder, remains, (journal) => {
          const damaged = journal.slice();
          damaged[at] = (damaged[at] as number) ^ (1 << (at % 8));
          return damaged;
        });
        kept.push(await finishAs(folder, TARGETS[(at >> 3) & 1] as (typeof TARGETS)[number]));
      });
      await inFolders(parent, cases);
      assert.include(kept, 0, "a damaged header is a fresh start");
      assert.include(kept, 1, "what is there behind damage is read and kept");
    }));

  test("damaged journal: one of another output vouches for nothing here, however it came", () =>
    withTempFolder(async (parent) => {
      const [whole, begun] = [join(parent, "whole"), join(parent, "begun")];
      const ways: ((from: string, to: string) => void)[] = [
        (from, to) => renameSync(from, to),
        (from, to) => {
          rmSync(to);
          copyFileSync(from, to);
        },
        (from, to) => writeFileSync(to, readFileSync(from)),
      ];
      for (const bring of ways) {
        const first = await openFolder(whole);
        await fetchTensor(first, "f", 0, a1);
        await fetchTensor(first, "f", A_BYTES, b1);
        await first.release();
        const second = await openFolder(begun);
        await fetchTensor(second, "f", 0, a1);
        await fetchTensor(second, "f", A_BYTES, b2);
        await second.release();
        bring(staged(whole, ".journal"), staged(begun, ".journal"));
        const kept = await finishAs(begun, TARGETS[0] as (typeof TARGETS)[number]);
        assert.equal(kept, 1, "what is there all the same is read and kept");
        rmSync(whole, { recursive: true });
      }
    }));

  test("damaged journal: one of something else or of another format is a fresh start", () =>
    withTempFolder(async (folder) => {
      const other = join(folder, "other");
      const output = await openFolder(other, { key: "another address" });
      await fetchTensor(output, "f", 0, a1);
      await fetchTensor(output, "f", A_BYTES, b1);
      await output.release();
      assert.equal(await finishAs(other, TARGETS[0] as (typeof TARGETS)[number]), 0);

      const remains = await leaveRemains(join(folder, "source"));
      for (const version of [0, 1, 3, 255]) {
        const place = join(folder, String(version));
        await putRemains(place, remains, (journal) => journal.with(8, version));
        assert.equal(await finishAs(place, TARGETS[1] as (typeof TARGETS)[number]), 0);
      }
    }));

  test("damaged journal: what it says is looked at before it is kept, asked for or not", () =>
    withTempFolder(async (folder) => {
      const remains = await leaveRemains(join(folder, "source"));
      const file = remains.file.with(5, (remains.file[5] as number) ^ 1);
      await putRemains(folder, { ...remains, file }, (journal) => journal.subarray(0, -1));
      const output = await openFolder(folder);
      for (const [fileOffset, bytes, wanted] of [
        [0, a2, []],
        [A_BYTES, b2, [0]],
      ] as const) {
        const sink = sinkOf(output, "f", fileOffset, bytes.byteLength);
        await sink.begin(V2, [{ index: 0, digest: sha256(bytes) }]);
        assert.deepEqual(await heldIndices(sink), [...wanted]);
      }
      await output.release();
    }));

  test("damaged journal: a checkpoint that was moved is believed, and one that was copied is read", () =>
    withTempFolder(async (folder) => {
      const remains = await leaveRemains(join(folder, "source"));
      const hashedIn = async (place: string) => {
        let hashed = 0;
        const output = await openFolder(place, {
          sha256: (parts) => {
            hashed++;
            return sha256(parts[0] as Uint8Array);
          },
        });
        const held = await sinkOf(output, "f", 0, A_BYTES).held();
        assert.lengthOf(held?.leaves ?? [], 1);
        await output.release();
        return hashed;
      };
      const [first, moved, copied] = ["first", "moved", "copied"].map((name) => join(folder, name));
      await putRemains(first as string, remains, (journal) => journal);
      renameSync(first as string, moved as string);
      const tellsBoot = existsSync("/proc/sys/kernel/random/boot_id");
      assert.equal(await hashedIn(moved as string), tellsBoot ? 0 : 1);
      mkdirSync(join(copied as string, ".headrace"), { recursive: true });
      for (const name of ["f", ".journal"]) {
        copyFileSync(staged(moved as string, name), staged(copied as string, name));
      }
      assert.equal(await hashedIn(copied as string), 1);
    }));
};
