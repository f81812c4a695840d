import { execFileSync } from "node:child_process";
import { copyFile, mkdir, open, rename, stat, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "chai";
import { IntegrityError, StorageError } from "../../lib/errors.ts";
import { openNodeFile, statNodeFile } from "../../lib/formats/node_file.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { withTempFolder } from "./temp_folder.ts";

/** Bytes that say where they are, so that one read in the wrong place shows. */
function numbered(byteLength: number): Uint8Array {
  const words = new Uint32Array(byteLength / 4);
  for (let index = 0; index < words.length; index++) words[index] = index;
  return new Uint8Array(words.buffer);
}

export const nodeFileSuite: Suite = ({ test }) => {
  test("node file: many reads at once each get their own bytes", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, "file");
      const bytes = numbered(1 << 20);
      await writeFile(path, bytes);
      const file = await openNodeFile(path);
      assert.equal(file.byteLength, bytes.byteLength);
      await Promise.all(
        Array.from({ length: 200 }, async (_, index) => {
          const at = (index * 7919 * 4) % (bytes.byteLength - 8192);
          // Into the middle of a buffer, to see that nothing around it is touched.
          const buffer = new Uint8Array(8192 + 2).fill(0xee);
          await file.read(at, buffer.subarray(1, 8193));
          assert.deepEqual(buffer.subarray(1, 8193), bytes.subarray(at, at + 8192));
          assert.equal(buffer[0], 0xee);
          assert.equal(buffer[8193], 0xee);
        }),
      );
      await file.close();
      await file.close();
      await assertRejects(() => file.read(0, new Uint8Array(1)), TypeError, /is closed/);
      await assertRejects(() => file.version(), TypeError, /is closed/);
    }));

  test("node file: reads past 4 GiB", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, "sparse");
      const end = 5 * 2 ** 30;
      const handle = await open(path, "w");
      await handle.truncate(end);
      await handle.write(Uint8Array.of(7, 8, 9), 0, 3, end - 3);
      await handle.close();
      const file = await openNodeFile(path);
      const found = new Uint8Array(4);
      await file.read(end - 4, found);
      assert.deepEqual(found, Uint8Array.of(0, 7, 8, 9));
      await file.close();
    }));

  test("node file: the version holds while nothing changes, open or not", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, "file");
      await writeFile(path, "abcd");
      const { version, byteLength } = await statNodeFile(path);
      const file = await openNodeFile(path);
      assert.equal(byteLength, 4);
      assert.equal(version.byteLength, 16);
      assert.deepEqual(await file.version(), version);
      await file.read(0, new Uint8Array(4));
      assert.deepEqual(await file.version(), version);
      await file.close();
      assert.deepEqual((await statNodeFile(path)).version, version);
    }));

  test("node file: a change in place of same size and same modification time gives a new version", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, "file");
      await writeFile(path, "abcd");
      const file = await openNodeFile(path);
      const before = await file.version();
      const { atime, mtime } = await stat(path);
      await writeFile(path, "efgh");
      await utimes(path, atime, mtime);
      assert.notDeepEqual(await file.version(), before);
      await file.close();
    }));

  test("node file: another file in its place by renaming gives a new version", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, "file");
      await writeFile(path, "abcd");
      const file = await openNodeFile(path);
      const before = await file.version();
      await copyFile(path, join(folder, "other"));
      await rename(join(folder, "other"), path);
      const held = await file.version();
      const { version: named } = await statNodeFile(path);
      assert.notDeepEqual(held, before);
      assert.notDeepEqual(named, before);
      assert.notDeepEqual(held, named);
      await rename(path, join(folder, "gone"));
      const gone = await file.version();
      assert.notDeepEqual(gone, before);
      assert.notDeepEqual(gone, held);
      await file.close();
    }));

  test("node file: a file that is cut while it is read is an integrity error at source", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, "file");
      await writeFile(path, numbered(4096));
      const file = await openNodeFile(path);
      await truncate(path, 1000);
      const read = () => file.read(512, new Uint8Array(1024));
      const error = await assertRejects(read, IntegrityError, /ends at byte 1000/);
      assert.equal(error.where, "source");
      assert.equal(error.byteOffset, 1000);
      await file.close();
    }));

  test("node file: what cannot be opened is one line that says what to do", () =>
    withTempFolder(async (folder) => {
      const missing = join(folder, "missing");
      const inFile = join(folder, "file", "below");
      const pipe = join(folder, "pipe");
      await mkdir(join(folder, "folder"));
      await writeFile(join(folder, "file"), "");
      execFileSync("mkfifo", [pipe]);
      const cases: [string, RegExp][] = [
        [missing, /missing: no such file or folder; check the path$/],
        [inFile, /below: a part of the path is not a folder; check the path$/],
        [join(folder, "folder"), /folder: it is not a regular file$/],
        [pipe, /pipe: it is not a regular file$/],
      ];
      for (const [path, message] of cases) {
        for (const attempt of [openNodeFile, statNodeFile]) {
          const error = await assertRejects(() => attempt(path), StorageError, message);
          assert.notInclude(error.message, "\n");
        }
      }
    }));
};
