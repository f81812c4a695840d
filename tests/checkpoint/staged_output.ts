import {
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { StagedOutput } from "../../lib/checkpoint/staged_output.ts";
import { WatchedSink } from "../../lib/cli/watched_sink.ts";
import { StorageError } from "../../lib/errors.ts";
import { MemorySink } from "../../lib/session/memory_sink.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import type { TensorSink } from "../../lib/tensor/sink.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import {
  bytesOf,
  fetchTensor,
  heldIndices,
  openFolder,
  sinkOf,
  V1,
  V2,
  writeLeaf,
} from "./staging_fixture.ts";

const head = bytesOf(100, 1);
const body = bytesOf(2 * LEAF_BYTES + 5, 2);
const whole = Uint8Array.from([...head, ...body]);
const FILE = { fileName: "a.safetensors", byteLength: whole.byteLength };

async function fetchWhole(output: StagedOutput): Promise<void> {
  await fetchTensor(output, FILE.fileName, 100, body);
  await fetchTensor(output, FILE.fileName, 0, head);
}

export const stagedOutputSuite: Suite = ({ test }) => {
  test("staged output: a folder's files appear together, whole, when it is finished", () =>
    withTempFolder(async (folder) => {
      const output = await openFolder(join(folder, "new", "model"));
      await fetchWhole(output);
      await fetchTensor(output, "config.json", 0, head);
      assert.deepEqual(readdirSync(join(folder, "new", "model")), [".headrace"]);
      assert.sameMembers(output.names(), ["a.safetensors", "config.json"]);
      const empty = { fileName: "empty", byteLength: 0 };
      await output.finish([FILE, { fileName: "config.json", byteLength: 100 }, empty]);
      const model = join(folder, "new", "model");
      assert.deepEqual(readdirSync(model).sort(), ["a.safetensors", "config.json", "empty"]);
      assert.isTrue(readFileSync(join(model, "a.safetensors")).equals(whole));
      assert.isTrue(readFileSync(join(model, "config.json")).equals(head));
      assert.equal(readFileSync(join(model, "empty")).byteLength, 0);
      await output.release(); // already closed
    }));

  test("staged output: a single file is staged beside its final name", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, "out.bin");
      const output = await StagedOutput.open(path, { kind: "file", key: "k" });
      await fetchTensor(output, FILE.fileName, 0, whole);
      assert.deepEqual(readdirSync(folder), [".out.bin.headrace"]);
      await output.finish([FILE]);
      assert.deepEqual(readdirSync(folder), ["out.bin"]);
      assert.isTrue(readFileSync(path).equals(whole));
    }));

  test("staged output: what was verified is held by the next one, and only that", () =>
    withTempFolder(async (folder) => {
      const first = await openFolder(folder);
      const sink = sinkOf(first, "f", 100, body.byteLength);
      assert.isUndefined(await sink.held());
      await sink.begin(V1, []);
      await writeLeaf(sink, body, 2);
      await writeLeaf(sink, body, 0);
      await first.release();

      const second = await openFolder(folder);
      const others: [string, number, number, string?][] = [
        ["f", 100, body.byteLength, "other"],
        ["f", 100, body.byteLength - 1],
        ["f", 99, body.byteLength],
        ["g", 100, body.byteLength],
      ];
      for (const other of others) {
        const stranger = sinkOf(second, ...other);
        assert.isUndefined(await stranger.held());
        await stranger.release();
      }
      await second.release();

      const third = await openFolder(folder);
      const resumed = sinkOf(third, "f", 100, body.byteLength);
      assert.deepEqual((await resumed.held())?.version, V1);
      assert.deepEqual(await heldIndices(resumed), [0, 2]);
      await resumed.release();
      assert.deepEqual(await fetchTensor(third, "f", 100, body), [1]);
      await fetchTensor(third, "f", 0, head);
      await third.finish([{ fileName: "f", byteLength: whole.byteLength }]);
      assert.isTrue(readFileSync(join(folder, "f")).equals(whole));
    }));

  test("staged output: another version keeps the leaves it names by digest and forgets the rest", () =>
    withTempFolder(async (folder) => {
      const output = await openFolder(folder);
      await fetchTensor(output, "f", 0, body);
      const sink = sinkOf(output, "f", 0, body.byteLength);
      const leaves = (await sink.held())?.leaves ?? [];
      const wrong = { index: 1, digest: new Uint8Array(32) };
      await sink.begin(V2, [...leaves.filter((leaf) => leaf.index === 2), wrong]);
      assert.deepEqual(await heldIndices(sink), [2]);
      await output.release();
      const again = await openFolder(folder);
      const resumed = sinkOf(again, "f", 0, body.byteLength);
      assert.deepEqual((await resumed.held())?.version, V2);
      assert.deepEqual(await heldIndices(resumed), [2]);
      await again.release();
    }));

  test("staged output: a tensor loses its leaves to one that takes some of its bytes", () =>
    withTempFolder(async (folder) => {
      const first = await openFolder(folder);
      await fetchTensor(first, "f", 0, head);
      await fetchTensor(first, "f", 100, body);
      await fetchTensor(first, "f", 50, head, V2);
      await first.release();
      const second = await openFolder(folder);
      for (const [offset, byteLength, wanted] of [
        [0, 100, undefined],
        [100, body.byteLength, undefined],
        [50, 100, [0]],
      ] as const) {
        const sink = sinkOf(second, "f", offset, byteLength);
        assert.deepEqual(await heldIndices(sink), wanted as number[] | undefined);
        await sink.release();
      }
      await second.release();
    }));

  test("staged output: a checkpoint of something else is cleared away", () =>
    withTempFolder(async (folder) => {
      const first = await openFolder(folder);
      await fetchWhole(first);
      await first.release();
      const second = await openFolder(folder, { key: "another model" });
      assert.deepEqual(second.names(), []);
      assert.isFalse(existsSync(join(folder, ".headrace", FILE.fileName)));
      await second.release();
      assert.deepEqual(readdirSync(folder), [], "nothing was kept, so nothing stays");
    }));

  test("staged output: a staged file that was lost or cut does not come back with holes", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, ".headrace", "f");
      for (const harm of [() => rmSync(path), () => truncateSync(path, LEAF_BYTES)]) {
        const first = await openFolder(folder);
        await fetchTensor(first, "f", 100, body);
        await first.release();
        harm();
        const second = await openFolder(folder);
        // Makes the file long again before anybody asks for the other tensor.
        await fetchTensor(second, "f", 100 + body.byteLength, head);
        assert.isUndefined(await sinkOf(second, "f", 100, body.byteLength).held());
        await second.discard();
        assert.deepEqual(readdirSync(folder), []);
      }
    }));

  test("staged output: is finished only when every byte was verified since it was opened", () =>
    withTempFolder(async (folder) => {
      const first = await openFolder(folder);
      await fetchTensor(first, FILE.fileName, 100, body);
      const gap = await assertRejects(() => first.finish([FILE]), StorageError, /from byte 0 on/);
      assert.equal(gap.byteOffset, 0);
      const sink = sinkOf(first, FILE.fileName, 0, 100);
      await sink.begin(V1, []);
      await writeLeaf(sink, head, 0);
      await assertRejects(() => first.finish([FILE]), TypeError, /1 sinks not released/);
      await sink.release();
      await assertRejects(() => first.finish([FILE]), StorageError, /from byte 0 on/);
      await fetchTensor(first, FILE.fileName, 0, head);
      for (const byteLength of [FILE.byteLength - 1, FILE.byteLength + 1]) {
        await assertRejects(
          () => first.finish([{ ...FILE, byteLength }]),
          StorageError,
          /verified/,
        );
      }
      await assertRejects(() => first.finish([]), TypeError, /not given a\.safetensors/);
      await assertRejects(() => first.finish([FILE, FILE]), TypeError, /twice/);
      truncateSync(join(folder, ".headrace", FILE.fileName), 10);
      await assertRejects(() => first.finish([FILE]), StorageError, /found 10/);
      await first.release();
      assert.deepEqual(readdirSync(folder), [".headrace"]);

      const second = await openFolder(folder);
      await fetchTensor(second, FILE.fileName, 0, head);
      await second.release();
      const third = await openFolder(folder);
      await fetchTensor(third, FILE.fileName, 100, body);
      // The head was verified, but nobody said that it belongs to this version.
      await assertRejects(() => third.finish([FILE]), StorageError, /from byte 0 on/);
      await third.release();
    }));

  test("staged output: what a longer version left behind the end is cut off", () =>
    withTempFolder(async (folder) => {
      const first = await openFolder(folder);
      await fetchWhole(first);
      await first.release();
      const second = await openFolder(folder);
      await fetchTensor(second, FILE.fileName, 0, head, V2);
      await second.finish([{ fileName: FILE.fileName, byteLength: 100 }]);
      assert.isTrue(readFileSync(join(folder, FILE.fileName)).equals(head));
    }));

  test("staged output: refuses to replace what differs, unless told to", () =>
    withTempFolder(async (folder) => {
      const target = join(folder, FILE.fileName);
      const output = await openFolder(folder);
      await fetchTensor(output, "b", 0, head);
      await fetchWhole(output);
      const files = [{ fileName: "b", byteLength: 100 }, FILE];
      const other = whole.slice();
      other[LEAF_BYTES + 7] = (other[LEAF_BYTES + 7] as number) ^ 1;
      for (const bytes of [Uint8Array.of(1), other]) {
        writeFileSync(target, bytes);
        await assertRejects(() => output.finish(files), StorageError, /something else is there/);
        assert.isTrue(readFileSync(target).equals(bytes));
        assert.isFalse(existsSync(join(folder, "b")), "nothing is renamed before all is checked");
      }
      await output.finish(files, { overwrite: true });
      assert.isTrue(readFileSync(target).equals(whole));

      const again = await openFolder(folder);
      await fetchWhole(again);
      await again.finish([FILE]); // the same bytes are not in the way
      assert.isTrue(readFileSync(target).equals(whole));
    }));

  test("staged output: two in one place at once are refused, in one process too", () =>
    withTempFolder(async (folder) => {
      const output = await openFolder(folder);
      await assertRejects(() => openFolder(folder), StorageError, /is writing to it/);
      const sink = sinkOf(output, "f", 0, 100);
      const conflict = () => sinkOf(output, "f", 99, 10);
      assert.throws(conflict, StorageError, /bytes 99 to 109 of f/);
      sinkOf(output, "f", 100, 0, "empty");
      sinkOf(output, "f", 100, 0, "empty too");
      assert.throws(() => sinkOf(output, "f", 100, 0, "empty"), StorageError, /another transfer/);
      await sink.release();
      conflict();
      await output.release();
      assert.throws(conflict, StorageError, /was closed/);
      await assertRejects(() => sink.begin(V1, []), StorageError, /let go/);
    }));

  test("staged output: a sink says that its writes share a disk, through what watches it too", () =>
    withTempFolder(async (folder) => {
      const output = await openFolder(folder);
      const sink = sinkOf(output, "f", 0, 100);
      const memory = new MemorySink(createDescriptor("U8", [100]));
      const watched = (inner: TensorSink) =>
        new WatchedSink(inner, { onCommit: async () => {} }).pace;
      assert.deepEqual([sink.pace, watched(sink)], ["disk", "disk"]);
      assert.deepEqual([memory.pace, watched(memory)], ["memory", "memory"]);
      await output.release();
    }));

  test("staged output: many sinks write at once through at most 16 open files", () =>
    withTempFolder(async (folder) => {
      const output = await openFolder(folder);
      const files = Array.from({ length: 50 }, (_, i) => `file ${i}`);
      let mostOpen = 0;
      await Promise.all(
        files.map(async (fileName, i) => {
          const bytes = bytesOf(LEAF_BYTES + i, i);
          await fetchTensor(output, fileName, 0, bytes);
          mostOpen = Math.max(mostOpen, countOpen(join(folder, ".headrace", "file ")));
        }),
      );
      if (existsSync("/proc/self/fd")) assert.isAbove(mostOpen, 1);
      else console.warn("SKIPPED on this system: open files cannot be counted");
      assert.isAtMost(mostOpen, 16);
      await output.finish(files.map((fileName, i) => ({ fileName, byteLength: LEAF_BYTES + i })));
      for (const [i, fileName] of files.entries()) {
        const found = readFileSync(join(folder, fileName));
        assert.isTrue(found.equals(bytesOf(LEAF_BYTES + i, i)), fileName);
      }
    }));
};

function countOpen(prefix: string): number {
  if (!existsSync("/proc/self/fd")) return 0;
  let count = 0;
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`).startsWith(prefix)) count++;
    } catch {
      // closed meanwhile
    }
  }
  return count;
}
