import {
  appendFileSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import {
  decodeJournal,
  encodeJournalRecord,
  type JournalRecord,
} from "../../lib/checkpoint/journal.ts";
import { createJournalFile } from "../../lib/checkpoint/journal_file.ts";
import { encodeJournalHeader } from "../../lib/checkpoint/journal_header.ts";
import { StagedOutput } from "../../lib/checkpoint/staged_output.ts";
import { storageError } from "../../lib/checkpoint/storage_error.ts";
import { StorageError } from "../../lib/errors.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { startChild } from "./child.ts";
import { withMount } from "./mount.ts";
import {
  bytesOf,
  fetchTensor,
  heldIndices,
  openFolder,
  sha256,
  sinkOf,
  V1,
  writeLeaf,
} from "./staging_fixture.ts";

const body = bytesOf(3 * LEAF_BYTES, 5);
const files = [{ fileName: "f", byteLength: body.byteLength }];

const journalOf = (folder: string) => join(folder, ".headrace", ".journal");

/** Changes a journal as if it had been written so. */
function rewriteJournal(path: string, change: (record: JournalRecord) => JournalRecord): void {
  const decoded = decodeJournal(readFileSync(path));
  assert.isTrue(decoded?.clean);
  const records = decoded?.records.map((record) => encodeJournalRecord(change(record))) ?? [];
  writeFileSync(path, encodeJournalHeader(decoded?.key ?? "", decoded?.home ?? ""));
  for (const record of records) appendFileSync(path, record);
}

/** Flips a bit of a staged file, as a power cut or a bad disk would. */
function damage(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] as number) ^ 1;
  writeFileSync(path, bytes);
}

/** Leaves a checkpoint behind, and nothing running. */
async function leaveCheckpoint(folder: string, durable: boolean): Promise<void> {
  const output = await openFolder(folder, { durable });
  await fetchTensor(output, "f", 0, body);
  await output.release();
}

/** Opens again; tells which leaves are held and how many were hashed to know it. */
async function resume(folder: string): Promise<{ held: number[] | undefined; hashed: number }> {
  let hashed = 0;
  const output = await openFolder(folder, {
    sha256: (parts) => {
      hashed++;
      return sha256(parts[0] as Uint8Array);
    },
  });
  const held = await heldIndices(sinkOf(output, "f", 0, body.byteLength));
  await output.release();
  return { held, hashed };
}

export const stagedOutputFaultsSuite: Suite = ({ test }) => {
  test("staged output: where no folder can be made is refused at once", async () => {
    // Linux says of whatever is to be made there that it is not there.
    const path = process.platform === "linux" ? "/proc/headrace/out" : "/dev/null/out";
    await assertRejects(() => openFolder(path), StorageError, /make the folder/);
  });

  test("staged output: killed at any moment, it holds no leaf that is not there to the byte", () =>
    withTempFolder(async (folder) => {
      for (let round = 0; round < 12; round++) {
        const child = startChild("staged_writer", ["rewrite", folder]);
        for (let line = 0; line < 3 + round * 3; line++)
          assert.equal(await child.line(), "written");
        await child.kill();
        const output = await openFolder(folder);
        for (const i of [0, 1, 2]) {
          const fileName = `f${i}`;
          const held = await sinkOf(output, fileName, 7, 2 * LEAF_BYTES + 9).held();
          const bytes = readFileSync(join(folder, ".headrace", fileName)).subarray(7);
          for (const { index, digest } of held?.leaves ?? []) {
            const leaf = bytes.subarray(index * LEAF_BYTES, (index + 1) * LEAF_BYTES);
            const wanted = index === 2 ? leaf.subarray(0, 9) : leaf;
            assert.deepEqual(sha256(wanted), digest, `round ${round}, ${fileName}, leaf ${index}`);
          }
        }
        assert.isAbove(output.names().length, 0);
        await output.release();
      }
    }));

  test("staged output: killed while it finishes, the next one completes it", () =>
    withTempFolder(async (parent) => {
      for (let round = 0; round < 5; round++) {
        const folder = join(parent, String(round));
        const child = startChild("staged_writer", ["finish", folder]);
        assert.equal(await child.line(), "finishing");
        // Kills it as soon as one more file than in the round before has its name.
        for (let placed = 0; placed < 1 + round * 20; ) {
          placed = readdirSync(folder).filter((name) => !name.startsWith(".")).length;
        }
        await child.kill();
        const output = await openFolder(folder);
        const names = readdirSync(folder).filter((name) => !name.startsWith("."));
        assert.equal(names.length, 100, "all were verified before the first was renamed");
        for (let i = 0; i < 100; i++) {
          assert.isTrue(readFileSync(join(folder, `f${i}`)).equals(bytesOf(1000, i)));
        }
        assert.deepEqual(output.names(), []);
        await output.release();
        assert.isFalse(existsSync(join(folder, ".headrace")));
      }
    }));

  test("staged output: a finish cut short is completed only if all of it is still there", () =>
    withTempFolder(async (folder) => {
      const finishing: JournalRecord[] = [
        { kind: "place", fileName: "f", byteLength: body.byteLength },
        { kind: "place", fileName: "g", byteLength: 10 },
        { kind: "finish", files: 2, overwrite: false },
      ];
      const cutShort = async () => {
        const output = await openFolder(folder);
        await fetchTensor(output, "f", 0, body);
        await fetchTensor(output, "g", 0, body.subarray(0, 10));
        await output.release();
        for (const record of finishing) {
          appendFileSync(journalOf(folder), encodeJournalRecord(record));
        }
        renameSync(join(folder, ".headrace", "g"), join(folder, "g"));
      };
      await cutShort();
      writeFileSync(join(folder, "f"), "in the way");
      await assertRejects(() => openFolder(folder), StorageError, /something else is there/);
      rmSync(join(folder, "f"));
      rmSync(join(folder, "g"));
      const resumed = await openFolder(folder);
      assert.isFalse(resumed.recovered);
      assert.deepEqual(await fetchTensor(resumed, "f", 0, body), [], "f itself is still held");
      assert.deepEqual(await fetchTensor(resumed, "g", 0, body.subarray(0, 10)), [0]);
      await resumed.discard();

      await cutShort();
      const recovered = await openFolder(folder);
      assert.isTrue(recovered.recovered);
      await recovered.release();
      assert.sameMembers(readdirSync(folder), ["f", "g"]);
      assert.isTrue(readFileSync(join(folder, "f")).equals(body));
    }));

  test("staged output: after a restart of the machine it reads before it believes, unless durable", () =>
    withTempFolder(async (parent) => {
      const before = (record: JournalRecord) =>
        record.kind === "begin" && record.boot !== "durable"
          ? { ...record, boot: "the boot before" }
          : record;
      for (const durable of [false, true]) {
        const folder = join(parent, String(durable));
        await leaveCheckpoint(folder, durable);
        rewriteJournal(journalOf(folder), before);
        damage(join(folder, ".headrace", "f"), LEAF_BYTES + 3);
        const { held, hashed } = await resume(folder);
        assert.deepEqual(held, durable ? [0, 1, 2] : [0, 2]);
        assert.equal(hashed, durable ? 0 : 3);
      }
      const folder = join(parent, "false");
      const output = await openFolder(folder);
      assert.deepEqual(await fetchTensor(output, "f", 0, body), [1]);
      await output.finish(files);
      assert.isTrue(readFileSync(join(folder, "f")).equals(body));
    }));

  test("staged output: in the same boot, a killed process's leaves are believed unread", () =>
    withTempFolder(async (folder) => {
      await leaveCheckpoint(folder, false);
      const tellsBoot = existsSync("/proc/sys/kernel/random/boot_id");
      assert.deepEqual(await resume(folder), { held: [0, 1, 2], hashed: tellsBoot ? 0 : 3 });
    }));

  test("staged output: behind a torn or damaged journal it reads before it believes", () =>
    withTempFolder(async (folder) => {
      await leaveCheckpoint(folder, true);
      const path = journalOf(folder);
      const whole = new Uint8Array(readFileSync(path));
      writeFileSync(path, whole.slice(0, -1));
      assert.deepEqual(await resume(folder), { held: [0, 1, 2], hashed: 3 });
      const torn = whole.slice(0, -30); // the commit and part of a leaf
      writeFileSync(path, torn);
      damage(join(folder, ".headrace", "f"), 2 * LEAF_BYTES + 1);
      assert.deepEqual(await resume(folder), { held: [1], hashed: 2 });
      writeFileSync(path, "not a journal");
      assert.deepEqual(await resume(folder), { held: undefined, hashed: 0 });
    }));

  test("staged output: a durable one trusts what was not written durably only once it is synced", () =>
    withTempFolder(async (folder) => {
      await leaveCheckpoint(folder, false);
      const output = await openFolder(folder, { durable: true });
      const boots = () =>
        (decodeJournal(readFileSync(journalOf(folder)))?.records ?? []).flatMap((record) =>
          record.kind === "begin" ? [record.boot] : [],
        );
      assert.notInclude(boots(), "durable");
      assert.deepEqual(await fetchTensor(output, "f", 0, body), []);
      assert.equal(boots().at(-1), "durable");
      await output.release();
      await (await openFolder(folder)).release();
      assert.notInclude(boots(), "durable", "what comes next need not survive a power cut");
    }));

  test("staged output: a full disk is one clear line, and what arrived is kept", () =>
    withTempFolder((parent) =>
      withMount(parent, "size=2m", async (mount, remount) => {
        const folder = join(mount, "out");
        const output = await openFolder(folder);
        const full = () => fetchTensor(output, "f", 0, body);
        const error = await assertRejects(full, StorageError, /the disk is full; make room/);
        assert.include(error.message, join(folder, ".headrace", "f"));
        assert.equal((error.cause as { code?: string }).code, "ENOSPC");
        await output.release();
        const stillFull = await openFolder(folder).catch((cause: unknown) => cause);
        if (stillFull instanceof StagedOutput) await stillFull.release();
        else assert.match(String(stillFull), /the disk is full/);
        remount("size=8m");
        const resumed = await openFolder(folder);
        assert.deepEqual(await fetchTensor(resumed, "f", 0, body), [0, 1]);
        await resumed.finish(files);
        assert.isTrue(readFileSync(join(folder, "f")).equals(body));
      }),
    ));

  test("staged output: a read-only place and a file in the way are one clear line each", () =>
    withTempFolder(async (parent) => {
      const file = join(parent, "file");
      writeFileSync(file, "");
      await assertRejects(
        () => openFolder(join(file, "out")),
        StorageError,
        /is a file, not a folder/,
      );
      await assertRejects(() => openFolder(file), StorageError, /Cannot make the folder .*file/);
      const onFolder = () => StagedOutput.open(parent, { kind: "file", key: "k" });
      await assertRejects(onFolder, StorageError, /it is a folder; choose another output/);
      assert.deepEqual(readdirSync(parent), ["file"]);
      await withMount(parent, "ro", async (mount) => {
        await assertRejects(() => openFolder(join(mount, "out")), StorageError, /is read-only/);
      });
    }));

  test("staged output: codes of the file system become what happened and what to do", () => {
    for (const [code, advice] of [
      ["EACCES", /^Cannot open \/x: permission denied; change/],
      ["EDQUOT", /quota is used up; make room.*kept/],
      ["EMFILE", /too many files are open; raise the limit/],
      ["EWHATEVER", /^Cannot open \/x: as the system said/],
    ] as const) {
      const cause = Object.assign(new Error("as the system said"), { code });
      const error = storageError(cause, "open", "/x");
      assert.match(error.message, advice);
      assert.equal(error.cause, cause);
      assert.equal(storageError(error, "again", "/y"), error);
    }
  });

  test("staged output: a folder that vanishes is noticed, and the next try starts anew", () =>
    withTempFolder(async (parent) => {
      const folder = join(parent, "out");
      const output = await openFolder(folder);
      const sink = sinkOf(output, "f", 0, body.byteLength);
      await sink.begin(V1, []);
      await writeLeaf(sink, body, 0);
      rmSync(folder, { recursive: true });
      await assertRejects(() => writeLeaf(sink, body, 1), StorageError, /deleted meanwhile/);

      // Another one moves in; nothing of the first may touch it.
      const other = await openFolder(folder);
      await fetchTensor(other, "f", 0, body);
      await assertRejects(
        () => fetchTensor(output, "g", 0, body),
        StorageError,
        /deleted meanwhile/,
      );
      assert.isFalse(existsSync(join(folder, ".headrace", "g")));
      await sink.release();
      await assertRejects(() => output.finish(files), StorageError, /deleted meanwhile/);
      await output.release();
      await other.finish(files);
      assert.isTrue(readFileSync(join(folder, "f")).equals(body));
    }));

  test("staged output: a staged file that vanishes while it is closed is not made anew with holes", () =>
    withTempFolder(async (folder) => {
      const output = await openFolder(folder);
      const sink = sinkOf(output, "f", 0, body.byteLength);
      await sink.begin(V1, []);
      await writeLeaf(sink, body, 0);
      for (let i = 0; i < 16; i++) await fetchTensor(output, `other ${i}`, 0, body.subarray(0, 9));
      rmSync(join(folder, ".headrace", "f"));
      await assertRejects(() => writeLeaf(sink, body, 1), StorageError, /f: it is not there/);
      await output.release();
      const resumed = await openFolder(folder);
      assert.isUndefined(await sinkOf(resumed, "f", 0, body.byteLength).held());
      await resumed.release();
    }));

  test("staged output: a record that the full disk tore is taken away, and the journal goes on", () =>
    withTempFolder((parent) =>
      withMount(parent, "size=1m", async (mount) => {
        const path = join(mount, ".journal");
        const journal = await createJournalFile(path, "k", [], false);
        const filler = openSync(join(mount, "filler"), "w");
        const fill = () => writeSync(filler, new Uint8Array(4096));
        assert.throws(() => {
          for (;;) fill();
        }, /ENOSPC|No space/);
        const kept: JournalRecord[] = [];
        const append = async (index: number) => {
          const record: JournalRecord = { kind: "leaf", ref: 1, index, digest: sha256(body) };
          await journal.append([record]);
          kept.push(record);
        };
        const untilFull = async () => {
          for (let index = 0; ; index++) await append(index);
        };
        await assertRejects(untilFull, StorageError, /Cannot write to .*the disk is full/);
        await assertRejects(() => append(0), StorageError, /the disk is full/);
        const whole = () => ({ key: "k", records: kept, clean: true });
        const found = () => decodeJournal(readFileSync(path));
        assert.deepInclude(found(), whole());
        closeSync(filler);
        rmSync(join(mount, "filler"));
        await append(1000);
        await journal.close();
        assert.deepInclude(found(), whole());
      }),
    ));

  test("staged output: follows no symbolic link out of its folder, whatever a name says", () =>
    withTempFolder(async (parent) => {
      const folder = join(parent, "out");
      const secret = join(parent, "secret");
      writeFileSync(secret, "untouched");
      mkdirSync(join(folder, ".headrace"), { recursive: true });

      symlinkSync(secret, join(folder, ".headrace", ".journal-new"));
      const viaNew = await openFolder(folder).catch((cause: unknown) => cause);
      if (viaNew instanceof StagedOutput) await viaNew.release();
      mkdirSync(join(folder, ".headrace"), { recursive: true });
      symlinkSync(secret, journalOf(folder));
      await assertRejects(() => openFolder(folder), StorageError, /symbolic link/);
      rmSync(journalOf(folder));

      const output = await openFolder(folder);
      symlinkSync(secret, join(folder, ".headrace", "f"));
      await assertRejects(() => fetchTensor(output, "f", 0, body), StorageError, /Cannot open/);
      await output.release();
      rmSync(join(folder, ".headrace"), { recursive: true, force: true });
      symlinkSync(parent, join(folder, ".headrace"));
      await assertRejects(() => openFolder(folder), StorageError, /not a folder/);
      rmSync(join(folder, ".headrace"));

      const hostile = await openFolder(folder);
      for (const fileName of ["../escaped", ".headrace", "..", "a/b"]) {
        await fetchTensor(hostile, fileName, 0, body.subarray(0, 10));
      }
      await hostile.finish(hostile.names().map((fileName) => ({ fileName, byteLength: 10 })));
      assert.deepEqual(readdirSync(parent).sort(), ["out", "secret"]);
      const names = ["%2E%2E", "%2E.%2Fescaped", "%2Eheadrace", "a%2Fb"];
      assert.sameMembers(readdirSync(folder), names);
      assert.equal(readFileSync(secret, "utf8"), "untouched");

      // A link in the place of a final name is replaced, never written through.
      symlinkSync(secret, join(folder, "f"));
      const last = await openFolder(folder);
      await fetchTensor(last, "f", 0, body);
      await assertRejects(() => last.finish(files), StorageError, /something else is there/);
      await last.finish(files, { overwrite: true });
      assert.isTrue(lstatSync(join(folder, "f")).isFile());
      assert.equal(readFileSync(secret, "utf8"), "untouched");
    }));
};
