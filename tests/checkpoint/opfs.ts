// The store in the files of a browser, in a worker and on a page; both are real.
import { assert } from "chai";
import { OpfsCheckpointStore } from "../../lib/checkpoint/opfs.ts";
import { StorageError } from "../../lib/errors.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import type { Harness } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { logged } from "../session/support/logged.ts";
import { storeContract, type WithBench } from "./store_contract.ts";
import { bytesOf, fetchTensor, heldIndices, sinkOf, V1, writeLeaf } from "./tensors.ts";

const FOLDER = { kind: "folder", key: "m/*" } as const;
const body = bytesOf(3 * LEAF_BYTES + 5, 2);

/** A new folder of the site's, removed afterwards. */
async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = `test-${crypto.randomUUID()}`;
  try {
    await use(folder);
  } finally {
    const site = await navigator.storage.getDirectory();
    await site.removeEntry(folder, { recursive: true }).catch(() => {});
  }
}

const inBrowser: WithBench = (nowMs, use) =>
  withFolder((folder) => {
    // Longer than a busy browser takes to give a lock that is free.
    const store = new OpfsCheckpointStore({ folder, nowMs, waitMs: 1000 });
    return use({
      store,
      async finished(output, fileName) {
        const file = await store.file(output, fileName);
        return file && new Uint8Array(await file.arrayBuffer());
      },
    });
  });

/** What an output's staging folder holds, by name. */
async function stagingOf(folder: string, output: string): Promise<FileSystemDirectoryHandle> {
  const site = await navigator.storage.getDirectory();
  const outputFolder = await (await site.getDirectoryHandle(folder)).getDirectoryHandle(output);
  for await (const [name, entry] of outputFolder.entries()) {
    if (name.startsWith(".headrace")) return entry as FileSystemDirectoryHandle;
  }
  throw new Error("nothing is staged");
}

/** @param where Whether the tests run in a worker or on a page, where files are kept otherwise. */
export function opfsSuite(harness: Harness, where: "a worker" | "a page"): void {
  const test: Harness["test"] = (name, body) =>
    harness.test(`browser's files, in ${where}: ${name} (chromium only)`, body);
  storeContract(
    `browser's files, in ${where}`,
    inBrowser,
  )({
    ...harness,
    test: (name, body) => harness.test(`${name} (chromium only)`, body),
  });

  test("leaves whose bytes are not those that were recorded are not held", () =>
    withFolder(async (folder) => {
      const store = new OpfsCheckpointStore({ folder });
      const first = await store.open("out", FOLDER);
      await fetchTensor(first, "f", 0, body);
      // A second opening tears the journal and the bytes, as a machine that lost power may.
      await first.release();
      const staging = await stagingOf(folder, "out");
      const isPaged = staging.name === ".headrace-pages";
      const file = isPaged
        ? await (await staging.getDirectoryHandle("f")).getFileHandle("1")
        : await staging.getFileHandle("f");
      const writable = await file.createWritable({ keepExistingData: true });
      const position = isPaged ? 7 : LEAF_BYTES + 7;
      await writable.write({ type: "write", position, data: Uint8Array.of(1, 2, 3, 4) });
      await writable.close();
      const second = await store.open("out", FOLDER);
      const sink = sinkOf(second, "f", 0, body.byteLength);
      assert.deepEqual(await heldIndices(sink), [0, 2, 3]);
      await sink.release();
      assert.deepEqual(await fetchTensor(second, "f", 0, body), [1]);
      await second.finish([{ fileName: "f", byteLength: body.byteLength }]);
      const whole = await (await store.file("out", "f"))?.arrayBuffer();
      assert.deepEqual(new Uint8Array(whole as ArrayBuffer), body);
    }));

  test("an output that something is left of is logged with how much, a new one is not", () =>
    withFolder(async (folder) => {
      const store = new OpfsCheckpointStore({ folder });
      const records = await logged(async () => {
        const first = await store.open("out", FOLDER);
        await fetchTensor(first, "f", 0, body);
        await first.release();
        await (await store.open("out", FOLDER)).release();
      });
      const told = records.filter(({ category }) => category.join() === "headrace,checkpoint");
      assert.lengthOf(told, 1);
      const { event, output, tensors, leaves } = told[0]?.properties ?? {};
      assert.deepEqual([event, output, tensors, leaves], ["checkpoint resumed", "out", 1, 4]);
    }));

  test("of two journals the newer counts only once it is whole", () =>
    withFolder(async (folder) => {
      const store = new OpfsCheckpointStore({ folder });
      const first = await store.open("out", FOLDER);
      await fetchTensor(first, "f", 0, body);
      await first.release();
      const staging = await stagingOf(folder, "out");
      for await (const name of staging.keys()) {
        if (!name.startsWith(".journal-")) continue;
        assert.equal(name, ".journal-1");
      }
      // What is left of an opening that ended amid writing the next journal.
      if (staging.name === ".headrace") {
        const whole = await (await staging.getFileHandle(".journal-1")).getFile();
        const torn = await staging.getFileHandle(".journal-2", { create: true });
        const writable = await torn.createWritable();
        await writable.write(whole.slice(0, whole.size - 60));
        await writable.close();
      } else await staging.getDirectoryHandle(".journal-2", { create: true });
      const second = await store.open("out", FOLDER);
      assert.deepEqual(await heldIndices(sinkOf(second, "f", 0, body.byteLength)), [0, 1, 2, 3]);
      await second.release();
      const names: string[] = [];
      for await (const name of (await stagingOf(folder, "out")).keys()) names.push(name);
      assert.sameMembers(names, ["f", ".journal-3"]);
    }));

  test("tensors that share a page, written at once, both stay", () =>
    withFolder(async (folder) => {
      const store = new OpfsCheckpointStore({ folder });
      const checkpoint = await store.open("out", FOLDER);
      const cut = LEAF_BYTES + 1000;
      await Promise.all([
        fetchTensor(checkpoint, "f", 0, body.subarray(0, cut)),
        fetchTensor(checkpoint, "f", cut, body.subarray(cut)),
      ]);
      await checkpoint.finish([{ fileName: "f", byteLength: body.byteLength }]);
      const whole = await (await store.file("out", "f"))?.arrayBuffer();
      assert.deepEqual(new Uint8Array(whole as ArrayBuffer), body);
    }));

  test("an output that has more files than may be open at once is finished with all of them", () =>
    withFolder(async (folder) => {
      const store = new OpfsCheckpointStore({ folder });
      const checkpoint = await store.open("out", FOLDER);
      const names = Array.from({ length: 20 }, (_, n) => `f${n}`);
      await Promise.all(
        names.map((name, n) => fetchTensor(checkpoint, name, 0, bytesOf(1000 + n, n))),
      );
      await checkpoint.finish(names.map((fileName, n) => ({ fileName, byteLength: 1000 + n })));
      for (const [n, name] of names.entries()) {
        const bytes = await (await store.file("out", name))?.arrayBuffer();
        assert.deepEqual(new Uint8Array(bytes as ArrayBuffer), bytesOf(1000 + n, n));
      }
      await store.delete("out");
      assert.isUndefined(await store.file("out", "f0"));
    }));

  test("an output is waited for while another one ends, and deleted by nobody meanwhile", () =>
    withFolder(async (folder) => {
      const store = new OpfsCheckpointStore({ folder });
      const first = await store.open("out", FOLDER);
      const sink = sinkOf(first, "f", 0, body.byteLength);
      await sink.begin(V1, []);
      await writeLeaf(sink, body, 0);
      await assertRejects(() => store.delete("out"), StorageError, /is writing to it/);
      const opening = store.open("out", FOLDER);
      await first.release();
      const second = await opening;
      assert.deepEqual(await heldIndices(sinkOf(second, "f", 0, body.byteLength)), [0]);
      await second.discard();
      const site = await navigator.storage.getDirectory();
      const names: string[] = [];
      for await (const name of (await site.getDirectoryHandle(folder)).keys()) names.push(name);
      assert.deepEqual(names, [], "nothing is left of an output that was given up");
    }));
}
