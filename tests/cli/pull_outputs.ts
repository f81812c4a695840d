// Where a pull puts what it fetches, and what it does with what is there: in this process, over memory.
import { mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "chai";
import { StagedOutput } from "../../lib/checkpoint/staged_output.ts";
import { UsageError } from "../../lib/cli/describe_error.ts";
import { type PullOptions, type PullSummary, pull } from "../../lib/cli/pull.ts";
import type { Report } from "../../lib/cli/report.ts";
import { StorageError } from "../../lib/errors.ts";
import { SafetensorsStore } from "../../lib/formats/safetensors_store.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { parsePattern } from "../../lib/tensor/address.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import type { TensorStore } from "../../lib/tensor/source.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { assertSameFolder, filesOf, type ModelPlan, writeModel } from "./support/model.ts";

const PLAN: ModelPlan = { shards: 2, tensors: 2, tensorBytes: 300_000, seed: 4 };

/** Pulls what a store holds, once. */
async function pullFrom(
  store: TensorStore,
  pattern: string,
  outputPath: string,
  options: Partial<PullOptions> = {},
): Promise<PullSummary> {
  const report: Report = {
    event() {},
    progress() {},
    failure() {},
    close() {},
  };
  const [near, far] = connectionPair();
  await using _server = new TensorPeer(far, { store, accepted: true });
  await using client = new TensorPeer(near);
  return await pull(client, {
    pattern: parsePattern(pattern),
    outputPath,
    overwrite: false,
    durable: false,
    priority: 50,
    report,
    signal: new AbortController().signal,
    ...options,
  });
}

/** A store without files: each tensor becomes one. */
function storeOf(names: readonly string[]): MemoryStore {
  const store = new MemoryStore();
  for (const [n, name] of names.entries()) {
    const [partition = "", tensor = ""] = name.split("/");
    store.set({ model: "m", partition, tensor }, new Uint8Array(10).fill(n + 1));
  }
  return store;
}

async function withModel(body: (folder: string, source: string) => Promise<void>): Promise<void> {
  await withTempFolder(async (folder) => {
    const source = join(folder, "llama");
    await writeModel(source, PLAN);
    await body(folder, source);
  });
}

export const pullOutputsSuite: Suite = ({ test }) => {
  test("pull: tensors of one name in two partitions get a file each", () =>
    withTempFolder(async (folder) => {
      const store = storeOf(["p0/weight", "p1/weight", "p0/bias"]);
      const out = join(folder, "out");
      await pullFrom(store, "m", out);
      const names = ["bias.safetensors", "p0.weight.safetensors", "p1.weight.safetensors"];
      assert.sameMembers(await readdir(out), names);
      const last = async (name: string) => (await readFile(join(out, name))).at(-1);
      assert.deepEqual(await Promise.all(names.map(last)), [3, 1, 2]);
      await pullFrom(store, "m/p1/weight", join(folder, "one"));
      assert.equal((await readFile(join(folder, "one"))).at(-1), 2);
    }));

  test("pull: files that would have one name all the same are refused before anything is fetched", () =>
    withTempFolder(async (folder) => {
      const store = storeOf(["p0/weight", "p1/weight", "p2/p0.weight"]);
      const out = join(folder, "out");
      await assertRejects(() => pullFrom(store, "m", out), UsageError, /called p0\.weight/);
      assert.isEmpty(await readdir(folder));
    }));

  test("pull: what another pull has verified in the same output is kept, unless it may be overwritten", () =>
    withTempFolder(async (folder) => {
      const out = join(folder, "out");
      const key = "large/*/*";
      const descriptor = createDescriptor("U8", [3 * LEAF_BYTES]);
      const address = { model: "large", partition: "p", tensor: "w" };
      const begin = async () => {
        const output = await StagedOutput.open(out, { kind: "folder", key });
        const sink = output.sink("w.bin", 0, address, descriptor);
        await sink.begin(Uint8Array.of(1), []);
        await sink.write({ index: 0, digest: new Uint8Array(32) }, new Uint8Array(LEAF_BYTES));
        await output.release();
      };
      const assertKept = async () => {
        const output = await StagedOutput.open(out, { kind: "folder", key });
        const held = await output.sink("w.bin", 0, address, descriptor).held();
        assert.lengthOf(held?.leaves ?? [], 1);
        await output.release();
      };
      const store = storeOf(["p/a", "p/b"]);
      await begin();
      await assertRejects(
        () => pullFrom(store, "m", out),
        StorageError,
        /1048576 verified bytes of large\/\*\/\*, unfinished, are there; finish that, choose another output/,
      );
      await assertKept();

      await pullFrom(store, "m", out, { overwrite: true });
      assert.sameMembers(await readdir(out), ["a.safetensors", "b.safetensors"]);
      // What is right already is done, whoever else is at work there.
      await begin();
      assert.equal((await pullFrom(store, "m", out)).tensors, 2);
      await assertKept();
    }));

  test("pull: into an output that is right it writes nothing, not even a lock", () =>
    withModel(async (folder, source) => {
      const store = await SafetensorsStore.open([source]);
      const out = join(folder, "out");
      await pullFrom(store, "llama", out);
      const before = await stat(out);
      const { resumedBytes } = await pullFrom(store, "llama", out);
      assert.equal(resumedBytes, PLAN.shards * PLAN.tensors * PLAN.tensorBytes);
      const after = await stat(out);
      assert.deepEqual([after.mtimeMs, after.ctimeMs], [before.mtimeMs, before.ctimeMs]);
    }));

  test("pull: what is fetched again with --overwrite counts once, and not as having been there", () =>
    withModel(async (folder, source) => {
      const store = await SafetensorsStore.open([source]);
      const out = join(folder, "out");
      await pullFrom(store, "llama", out);
      const [changed = "", kept = ""] = [...(await filesOf(out)).keys()].filter((name) =>
        name.endsWith(".safetensors"),
      );
      const damaged = await readFile(join(out, changed));
      damaged[damaged.byteLength - 1] = (damaged.at(-1) as number) ^ 1;
      await writeFile(join(out, changed), damaged);
      const summary = await pullFrom(store, "llama", out, { overwrite: true });
      await assertSameFolder(out, source);
      const keptBytes = (await stat(join(out, kept))).size;
      assert.isAtLeast(summary.resumedBytes, PLAN.tensors * PLAN.tensorBytes);
      assert.isBelow(summary.resumedBytes, keptBytes + 64 * 1024);
    }));

  test("pull: an output that is a link to a folder is that folder", () =>
    withModel(async (folder, source) => {
      const store = await SafetensorsStore.open([source]);
      const [real, link] = [join(folder, "real"), join(folder, "link")];
      await mkdir(real);
      await symlink(real, link);
      await pullFrom(store, "llama/*/layers.0.0.weight", link);
      assert.deepEqual(await readdir(real), ["layers.0.0.weight.safetensors"]);
    }));
};
