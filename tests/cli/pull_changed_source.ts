import { mkdir, open, rename, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "chai";
import type { Suite } from "../harness.ts";
import { doneOf, errorOf, type Lab, withLab } from "./support/lab.ts";
import {
  assertSameFolder,
  finalNames,
  type ModelPlan,
  shardHeader,
  shardName,
  tensorBytes,
} from "./support/model.ts";

const MiB = 1024 * 1024;
const OLD: ModelPlan = { shards: 3, tensors: 3, tensorBytes: 2 * MiB + 77, seed: 8 };
/** The same files, tensors and lengths; other weights. */
const NEW: ModelPlan = { ...OLD, seed: 9 };
const SHARD_BYTES = OLD.tensors * OLD.tensorBytes;
const BYTES_PER_SECOND = 24 * MiB;

/** A way to put another version of a tensor into a shard; size and modification time stay. */
type Change = (folder: string, shard: number, tensor: number, version?: ModelPlan) => Promise<void>;

async function keepingTimes(path: string, change: () => Promise<void>): Promise<void> {
  const { atimeMs, mtimeMs } = await stat(path);
  await change();
  await utimes(path, atimeMs / 1000, mtimeMs / 1000);
}

const CHANGES: Readonly<Record<string, Change>> = {
  "written in place": async (folder, shard, tensor, version = NEW) => {
    const path = join(folder, `${shardName(NEW, shard)}.safetensors`);
    await keepingTimes(path, async () => {
      const file = await open(path, "r+");
      const at = shardHeader(version, shard).byteLength + tensor * version.tensorBytes;
      await file.write(tensorBytes(version, shard, tensor), 0, version.tensorBytes, at);
      await file.close();
    });
  },
  "replaced by a renamed file": async (folder, shard, tensor, version = NEW) => {
    const path = join(folder, `${shardName(NEW, shard)}.safetensors`);
    await keepingTimes(path, async () => {
      const file = await open(`${path}.tmp`, "w");
      await file.write(shardHeader(OLD, shard));
      for (let n = 0; n < OLD.tensors; n++) {
        await file.write(tensorBytes(n === tensor ? version : OLD, shard, n));
      }
      await file.close();
      const { atimeMs, mtimeMs } = await stat(path);
      await utimes(`${path}.tmp`, atimeMs / 1000, mtimeMs / 1000);
      await rename(`${path}.tmp`, path);
    });
  },
};

/** Begins a pull, changes the source at that byte, and fails unless what comes is all of the new. */
async function changeWhilePulled(lab: Lab, atBytes: number, change: Change, where: number[]) {
  const source = await lab.model("llama", OLD);
  const server = await lab.serve([source]);
  const link = await lab.slowLink(server.url, BYTES_PER_SECOND);
  const out = lab.path("out");
  const pull = lab.start(["pull", `${link.url}/llama`, "-o", out]);
  await link.passed(atBytes);
  const [shard = 0, tensor = 0] = where;
  await change(source, shard, tensor);
  assert.isEmpty(await finalNames(out));
  const exit = await pull.exit;
  doneOf(exit);
  await assertSameFolder(out, source);
  const changed = exit.events.filter(({ event }) => event === "changed");
  assert.lengthOf(changed, 1, exit.stdout);
  assert.match(String(changed[0]?.message), /changed|not the version/);
}

export const pullChangedSourceSuite: Suite = ({ test }) => {
  for (const [how, change] of Object.entries(CHANGES)) {
    test(`headrace pull: a tensor already fetched is ${how}, and all that comes is of the new version`, () =>
      withLab((lab) => changeWhilePulled(lab, SHARD_BYTES - MiB, change, [0, 0])));

    test(`headrace pull: a shard already fetched is ${how}, and all that comes is of the new version`, () =>
      withLab((lab) => changeWhilePulled(lab, 2 * SHARD_BYTES + MiB, change, [0, 1])));

    test(`headrace pull: what is just being fetched is ${how}, and all that comes is of the new version`, () =>
      withLab((lab) => changeWhilePulled(lab, SHARD_BYTES + MiB, change, [1, 0])));

    test(`headrace pull: between two runs a tensor is ${how}, and what comes is of the new version`, () =>
      withLab(async (lab) => {
        const source = await lab.model("llama", OLD);
        const server = await lab.serve([source]);
        const link = await lab.slowLink(server.url, BYTES_PER_SECOND);
        const out = lab.path("out");
        const killed = lab.start(["pull", `${link.url}/llama`, "-o", out]);
        await link.passed(2 * SHARD_BYTES);
        await killed.kill();
        await change(source, 0, 1);
        const done = doneOf(await lab.run(["pull", `${server.url}/llama`, "-o", out]));
        await assertSameFolder(out, source);
        // What did not change is not sent again.
        assert.isAtLeast(done.resumedBytes as number, OLD.tensorBytes);
        await change(source, 2, 2);
        const differs = errorOf(await lab.run(["pull", `${server.url}/llama`, "-o", out]));
        assert.match(String(differs.message), /differs from what the peer has.*--overwrite/);
        doneOf(await lab.run(["pull", `${server.url}/llama`, "-o", out, "--overwrite"]));
        await assertSameFolder(out, source);
      }));
  }

  for (const when of ["between two runs", "while it is pulled"]) {
    test(`headrace pull: ${when} other shards take the model's place, and nothing of the old comes`, () =>
      withLab(async (lab) => {
        const source = await lab.model("llama", OLD);
        await rename(join(source, "config.json"), join(source, "tokenizer.json"));
        const other = await lab.model("other", { ...NEW, shards: 2, tensors: 4, tensorBytes: MiB });
        const server = await lab.serve([source]);
        const link = await lab.slowLink(server.url, BYTES_PER_SECOND);
        const out = lab.path("out");
        let pull = lab.start(["pull", `${link.url}/llama`, "-o", out]);
        await link.passed(SHARD_BYTES + MiB);
        if (when === "between two runs") await pull.kill();
        await rename(source, lab.path("old"));
        await rename(other, source);
        if (when === "between two runs") pull = lab.start(["pull", `${link.url}/llama`, "-o", out]);
        const exit = await pull.exit;
        // In between there is a moment without any model, which ends a pull.
        if (exit.code !== 0) {
          errorOf(exit);
          assert.isEmpty(await finalNames(out));
          doneOf(await lab.run(["pull", `${server.url}/llama`, "-o", out]));
        }
        await assertSameFolder(out, source);
      }));
  }

  test("headrace pull: a source that never stays the same ends it, with nothing under a final name", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", OLD);
      const server = await lab.serve([source]);
      const link = await lab.slowLink(server.url, BYTES_PER_SECOND);
      const out = lab.path("out");
      const pull = lab.start(["pull", `${link.url}/llama`, "-o", out]);
      let isOver = false;
      const over = pull.exit.finally(() => {
        isOver = true;
      });
      // Each turn leaves more to fetch than passes until the next, so no round is without one.
      for (let turn = 0; !isOver; turn++) {
        await Promise.race([link.passed(link.passedBytes + MiB), over]);
        const version = { ...NEW, seed: 100 + turn };
        await CHANGES["written in place"]?.(source, turn % 3, 0, version);
      }
      const exit = await over;
      const error = errorOf(exit);
      assert.oneOf(error.code, ["integrity", "retry_exhausted"]);
      assert.match(String(error.message), /changed|not the version that was asked for/);
      assert.isEmpty(await finalNames(out));
      doneOf(await lab.run(["pull", `${server.url}/llama`, "-o", out]));
      await assertSameFolder(out, source);
    }));

  test("headrace pull: two into one output do not hurt each other, the later one is told", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", OLD);
      const other = await lab.model("other", NEW);
      const server = await lab.serve([source, other]);
      const link = await lab.slowLink(server.url, BYTES_PER_SECOND / 3);
      const out = lab.path("out");
      const first = lab.start(["pull", `${link.url}/llama`, "-o", out]);
      await link.passed(3 * MiB);
      const later = ["llama", "other"].map((model) =>
        lab.run(["pull", `${server.url}/${model}`, "-o", out]),
      );
      for (const exit of await Promise.all(later)) {
        const second = errorOf(exit);
        assert.equal(second.code, "storage");
        assert.match(String(second.message), /process \d+ is writing to it; wait for it or end it/);
      }
      doneOf(await first.exit);
      await assertSameFolder(out, source);
      // At the very same moment: at least one gets through, whoever does not is told why.
      for (const round of [0, 1]) {
        const both = lab.path(`both${round}`);
        await mkdir(both);
        const args = ["pull", `${server.url}/llama`, "-o", both];
        const exits = await Promise.all([lab.run(args), lab.run(args)]);
        const failed = exits.filter(({ code }) => code !== 0);
        assert.isAtMost(failed.length, 1);
        for (const exit of failed) assert.equal(errorOf(exit).code, "storage");
        await assertSameFolder(both, source);
      }
    }));
};
