import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { assert } from "chai";
import { OutputLock } from "../../lib/checkpoint/lock.ts";
import { StagedOutput } from "../../lib/checkpoint/staged_output.ts";
import { Staging } from "../../lib/checkpoint/staging.ts";
import { type SweepOptions, sweepCheckpoints } from "../../lib/checkpoint/sweep_checkpoints.ts";
import type { Clock } from "../../lib/clock.ts";
import { StorageError } from "../../lib/errors.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { startChild } from "./child.ts";
import { bytesOf, fetchTensor, openFolder, sinkOf, V1 } from "./staging_fixture.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const body = bytesOf(LEAF_BYTES + 5, 1);

/** Leaves a checkpoint behind that was used last so many days ago. */
async function abandon(path: string, kind: "file" | "folder", days = 0): Promise<string> {
  const output = await StagedOutput.open(path, { kind, key: "k" });
  await fetchTensor(output, "f", 0, body);
  await output.release();
  const { folder } = new Staging(path, kind);
  const then = new Date(Date.now() - days * DAY_MS);
  for (const name of readdirSync(folder)) utimesSync(join(folder, name), then, then);
  return folder;
}

/** What a sweep removed, by name. */
async function swept(folder: string, options: SweepOptions = {}): Promise<string[]> {
  const found = await sweepCheckpoints(folder, options);
  return found.map(({ output }) => basename(output)).sort();
}

export const sweepCheckpointsSuite: Suite = ({ test }) => {
  test("sweep: finds what was left of a folder, of files in it and of folders in it, and nothing else", () =>
    withTempFolder(async (parent) => {
      const folder = join(parent, "models");
      const outputs = [
        ["models", "folder", 30],
        ["models/one.bin", "file", 20],
        ["models/llama", "folder", 15],
        ["models/young", "folder", 13],
        ["models/llama/deeper", "folder", 99],
        ["beside", "folder", 99],
      ] as const;
      for (const [path, kind, days] of outputs) await abandon(join(parent, path), kind, days);
      writeFileSync(join(folder, "llama", "whole.bin"), body);
      assert.deepEqual(await sweepCheckpoints(join(parent, "nothing")), []);
      const found = await sweepCheckpoints(folder);
      assert.deepEqual(
        found.map(({ output, over }) => [output, over]),
        ["models", "models/one.bin", "models/llama"].map((path) => [join(parent, path), "age"]),
      );
      for (const { bytes, lastUsedMs } of found) {
        assert.isAtLeast(bytes, body.byteLength);
        assert.isBelow(lastUsedMs, Date.now() - 14 * DAY_MS);
      }
      assert.sameMembers(readdirSync(folder), ["llama", "young"]);
      assert.sameMembers(readdirSync(join(folder, "llama")), ["deeper", "whole.bin"]);
      for (const path of ["models/young", "models/llama/deeper", "beside"]) {
        assert.sameMembers(readdirSync(join(parent, path, ".headrace")), [".journal", "f"]);
      }
      const anew = await openFolder(join(folder, "llama"), { key: "k" });
      assert.deepEqual(await fetchTensor(anew, "f", 0, body), [0, 1]);
      await anew.discard();
    }));

  test("sweep: by size it counts what the disk gave, not what a file will be long", () =>
    withTempFolder(async (folder) => {
      for (const [name, days] of [
        ["older", 2],
        ["newer", 1],
      ] as const) {
        const output = await openFolder(join(folder, name));
        const sink = sinkOf(output, "f", 0, 4096 * LEAF_BYTES);
        await sink.begin(V1, []);
        const leaf = { index: 4095, digest: new Uint8Array(32) };
        await sink.write(leaf, bytesOf(LEAF_BYTES, 2));
        await output.release();
        const then = new Date(Date.now() - days * DAY_MS);
        const staged = join(folder, name, ".headrace");
        for (const one of readdirSync(staged)) utimesSync(join(staged, one), then, then);
        assert.equal(statSync(join(staged, "f")).size, 4096 * LEAF_BYTES);
      }
      if (statSync(join(folder, "older", ".headrace", "f")).blocks > 8 * 1024) {
        console.warn("SKIPPED here: this file system keeps no holes");
        return;
      }
      assert.deepEqual(await swept(folder, { maxBytes: 3 * LEAF_BYTES }), []);
      assert.deepEqual(await swept(folder, { maxBytes: 2 * LEAF_BYTES }), ["older"]);
      assert.deepEqual(await swept(folder, { maxBytes: 2 * LEAF_BYTES }), []);
      assert.deepEqual(await swept(folder, { maxBytes: 0 }), ["newer"]);
    }));

  test("sweep: what is not headrace's stays, whatever it is called", () =>
    withTempFolder(async (parent) => {
      const folder = join(parent, "models");
      const staging = await abandon(join(folder, "real"), "folder", 99);
      const elsewhere = await abandon(join(parent, "elsewhere"), "folder", 99);
      const old = new Date(0);
      const pretend = (name: string, journal: string | Uint8Array | undefined) => {
        const place = join(folder, name);
        mkdirSync(place, { recursive: true });
        writeFileSync(join(place, "f"), body);
        if (journal !== undefined) writeFileSync(join(place, ".journal"), journal);
        for (const one of readdirSync(place)) utimesSync(join(place, one), old, old);
        return place;
      };
      const journal = readFileSync(join(staging, ".journal"));
      const others = [
        pretend(".without.headrace", undefined),
        pretend(".text.headrace", "a diary"),
        pretend(".short.headrace", journal.subarray(0, 7)),
        pretend(
          join("theirs", ".headrace"),
          journal.map((byte) => byte ^ 1),
        ),
        pretend("headrace", journal),
        pretend(".headrace.bak", journal),
      ];
      symlinkSync(elsewhere, join(folder, ".linked.headrace"));
      symlinkSync(join(parent, "elsewhere"), join(folder, "linked"));
      mkdirSync(join(folder, "holder"));
      symlinkSync(elsewhere, join(folder, "holder", ".headrace"));
      const borrowed = pretend(".borrowed.headrace", undefined);
      symlinkSync(join(elsewhere, ".journal"), join(borrowed, ".journal"));
      mkdirSync(join(folder, ".folder.headrace", ".journal"), { recursive: true });
      writeFileSync(join(folder, ".file.headrace"), journal);

      // In a folder that is ours: what we would not have put there.
      writeFileSync(join(staging, ".DS_Store"), "");
      symlinkSync(elsewhere, join(staging, "link"));
      mkdirSync(join(staging, "folder"));
      writeFileSync(join(staging, "folder", "mine"), "");

      const onError = (error: StorageError) => assert.fail(error.message);
      assert.deepEqual(await swept(folder, { maxAgeMs: 0, onError }), ["real"]);
      assert.sameMembers(readdirSync(staging), [".DS_Store", "link", "folder"]);
      assert.isTrue(existsSync(join(staging, "folder", "mine")));
      for (const place of others) assert.isTrue(readFileSync(join(place, "f")).equals(body), place);
      assert.isTrue(readFileSync(join(borrowed, "f")).equals(body));
      assert.sameMembers(readdirSync(elsewhere), [".journal", "f"]);
      assert.deepEqual(await swept(folder, { maxAgeMs: 0 }), []);
    }));

  test("sweep: what is another user's stays, where that can be told", () =>
    withTempFolder(async (folder) => {
      const staging = await abandon(join(folder, "theirs"), "folder", 99);
      if (process.getuid?.() !== 0) {
        console.warn("SKIPPED here: only the administrator can give a folder away");
        return;
      }
      chownSync(staging, 12_345, 12_345);
      assert.deepEqual(await swept(folder), []);
      chownSync(staging, 0, 0);
      assert.deepEqual(await swept(folder), ["theirs"]);
    }));

  test("sweep: what somebody has open stays, and what a killed process left goes", () =>
    withTempFolder(async (folder) => {
      const own = await openFolder(join(folder, "own"));
      await fetchTensor(own, "f", 0, body);
      const children = ["living", "killed"].map((name) =>
        startChild("staged_writer", ["rewrite", join(folder, name)]),
      );
      try {
        for (const child of children) assert.equal(await child.line(), "written");
        await children[1]?.kill();
        await abandon(join(folder, "foreign"), "folder");
        const lock = { pid: 1, host: "elsewhere", boot: "", start: "", id: crypto.randomUUID() };
        writeFileSync(join(folder, "foreign", ".headrace", ".lock"), JSON.stringify(lock));
        const all = { maxAgeMs: 0, maxBytes: 0 };
        assert.deepEqual(await swept(folder, all), ["killed"]);
        assert.deepEqual(readdirSync(join(folder, "killed")), []);
        for (let line = 0; line < 9; line++) assert.equal(await children[0]?.line(), "written");
        await children[0]?.kill();
        assert.deepEqual(await swept(folder, all), ["living"]);
        await own.finish([{ fileName: "f", byteLength: body.byteLength }]);
        assert.isTrue(readFileSync(join(folder, "own", "f")).equals(body));
      } finally {
        await Promise.all(children.map((child) => child.kill()));
      }
    }));

  test("sweep: what is used, locked or gone by the time that its turn comes stays as it is", () =>
    withTempFolder(async (folder) => {
      for (const name of ["excepted", "locked", "used", "gone", "stale"]) {
        await abandon(join(folder, name), "folder", 99);
      }
      const staged = (name: string, file: string) => join(folder, name, ".headrace", file);
      let lock: OutputLock | undefined;
      const options: SweepOptions = {
        except: [join(folder, "excepted")],
        // All has been looked at, and nothing removed.
        nowMs: () => {
          lock = OutputLock.take(staged("locked", ".lock"));
          utimesSync(staged("used", ".journal"), new Date(), new Date());
          renameSync(join(folder, "gone"), join(folder, "went"));
          return Date.now();
        },
        onError: (error) => assert.fail(error.message),
      };
      assert.deepEqual(await swept(folder, options), ["stale"]);
      lock?.release();
      for (const name of ["excepted", "locked", "used", "went"]) {
        assert.sameMembers(readdirSync(join(folder, name, ".headrace")), [".journal", "f"]);
      }
    }));

  test("sweep: one that cannot be removed is told of, and the others go", () =>
    withTempFolder(async (folder) => {
      for (const name of ["a", "b", "c"]) await abandon(join(folder, name), "folder", 99);
      const path = join(folder, "b", ".headrace", ".lock");
      mkdirSync(path);
      const errors: StorageError[] = [];
      assert.deepEqual(await swept(folder, { onError: (error) => errors.push(error) }), ["a", "c"]);
      assert.lengthOf(errors, 1);
      assert.include(errors[0]?.message, path);
      writeFileSync(join(folder, "file"), "");
      await assertRejects(
        () => sweepCheckpoints(join(folder, "file")),
        StorageError,
        /not a folder/,
      );
    }));

  test("sweep: of several at once each checkpoint is removed by one", () =>
    withTempFolder(async (folder) => {
      const names = Array.from({ length: 20 }, (_, n) => `model ${n}`);
      for (const name of names) await abandon(join(folder, name), "folder", 99);
      const sweeps = await Promise.all([1, 2, 3, 4].map(() => swept(folder)));
      assert.sameMembers(sweeps.flat(), names);
    }));

  test("sweep: a writer that comes amid one waits for its end, and then begins anew", () =>
    withTempFolder(async (parent) => {
      const path = join(parent, "out");
      const staging = new Staging(path, "folder");
      const sweeping = async (waits: number) => {
        await abandon(path, "folder");
        const lock = OutputLock.take(staging.lockPath, "sweep");
        let waited = 0;
        const clock: Clock = {
          now: () => 0,
          after: (_delayMs, callback) => {
            if (++waited === waits) {
              for (const name of [".journal", "f"]) rmSync(join(staging.folder, name));
              staging.unlock(lock);
            }
            queueMicrotask(callback);
            return () => {};
          },
        };
        return { lock, writer: staging.lock(false, clock), waited: () => waited };
      };
      const { writer, waited } = await sweeping(3);
      staging.unlock(await writer);
      assert.equal(waited(), 3);
      const endless = await sweeping(Number.POSITIVE_INFINITY);
      await assertRejects(() => endless.writer, StorageError, /is clearing it away; try again/);
      endless.lock.release();
    }));

  test("sweep: a lock that is only just being written down is waited for, and no other", () =>
    withTempFolder(async (folder) => {
      const staging = new Staging(folder, "folder");
      mkdirSync(staging.folder);
      writeFileSync(staging.lockPath, "");
      const clock: Clock = {
        now: () => 0,
        after: (_delayMs, callback) => {
          rmSync(staging.lockPath);
          queueMicrotask(callback);
          return () => {};
        },
      };
      const lock = await staging.lock(false, clock);
      const again = () => staging.lock(false, clock);
      await assertRejects(again, StorageError, /is writing to it; wait for it or end it/);
      staging.unlock(lock);
    }));

  test("sweep: a writer that shares its folder with sweepers loses time at most", () =>
    withTempFolder(async (folder) => {
      const child = startChild("staged_racer", [folder]);
      try {
        let isOver = false;
        let removed = 0;
        const sweep = async () => {
          const all = { maxAgeMs: 0, onError: (error: Error) => assert.fail(error.message) };
          const { length } = await sweepCheckpoints(folder, all);
          removed += length;
        };
        const watch = async () => {
          try {
            for (let line = await child.line(); line !== "over"; line = await child.line()) {
              if (line === "left") {
                await sweep();
                child.send("go on");
              } else assert.equal(line, "right");
            }
          } finally {
            isOver = true;
          }
        };
        const sweepOn = async () => {
          while (!isOver) await sweep();
        };
        await Promise.all([watch(), sweepOn(), sweepOn()]);
        assert.isAtLeast(removed, 12);
      } finally {
        await child.kill();
      }
    }));

  test("sweep: a lock is free when nobody lives who has it", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, ".lock");
      assert.isTrue(OutputLock.isFree(path));
      const lock = OutputLock.take(path);
      assert.isFalse(OutputLock.isFree(path));
      lock.release();
      assert.isTrue(OutputLock.isFree(path));
      writeFileSync(path, "torn");
      assert.isFalse(OutputLock.isFree(path));
      utimesSync(path, new Date(0), new Date(0));
      assert.isTrue(OutputLock.isFree(path));
      assert.isTrue(existsSync(path), "looking changes nothing");
    }));
};
