import { chmod, chown, mkdir, rename, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { assert } from "chai";
import { withMount } from "../checkpoint/mount.ts";
import type { Suite } from "../harness.ts";
import { headraceProgram, runHeadrace } from "./run_headrace.ts";
import { doneOf, errorOf, type Lab, type LabOptions, withLab } from "./support/lab.ts";
import {
  assertSameFolder,
  finalNames,
  type ModelPlan,
  shardName,
  writeModel,
} from "./support/model.ts";

const MiB = 1024 * 1024;
const PLAN: ModelPlan = { shards: 3, tensors: 2, tensorBytes: 3 * MiB + 5, seed: 4 };

/** The user that has no rights, by the number that every system gives it. */
const NOBODY = 65534;

interface Nobody {
  readonly folder: string;
  readonly options: LabOptions;
}

/** The one line that a person reads; says what failed and what to do. */
async function lineOf(args: readonly string[], environment = {}): Promise<string> {
  const { code, stdout, stderr } = await runHeadrace(args, environment);
  assert.equal(code, 1, stderr);
  assert.equal(stdout, "");
  const lines = stderr.trimEnd().split("\n");
  assert.lengthOf(
    lines.filter((line) => line.startsWith("headrace: ")),
    1,
    stderr,
  );
  return lines.at(-1) as string;
}

export const pullFaultsSuite: Suite = ({ test }) => {
  test("headrace pull: a disk that fills is named, what has arrived is kept, and room lets it end", () =>
    withLab((lab) =>
      withMount(lab.folder, "size=12m", async (mount, remount) => {
        const source = await lab.model("llama", PLAN);
        const { url } = await lab.serve([source]);
        const out = join(mount, "out");
        const args = ["pull", `${url}/llama`, "-o", out];
        const { code, message } = errorOf(await lab.run(args));
        assert.equal(code, "storage");
        assert.match(String(message), /the disk is full; make room and run the same command again/);
        assert.include(String(message), mount);
        assert.match(await lineOf(args), /the disk is full/);
        assert.isEmpty(await finalNames(out));
        remount("size=64m");
        const done = doneOf(await lab.run(args));
        assert.isAtLeast(done.resumedBytes as number, 4 * MiB);
        await assertSameFolder(out, source);
      }),
    ));

  test("headrace pull: a target folder that vanishes is named, and the same command makes it anew", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { url } = await lab.serve([source]);
      const link = await lab.slowLink(url, 24 * MiB);
      const out = lab.path("out");
      const pull = lab.start(["pull", `${link.url}/llama`, "-o", out]);
      await link.passed(6 * MiB);
      await rename(out, lab.path("gone"));
      const { code, message } = errorOf(await pull.exit);
      assert.equal(code, "storage");
      assert.include(String(message), out);
      assert.match(String(message), /run the same command again/);
      assert.isEmpty(await finalNames(out));
      doneOf(await lab.run(["pull", `${url}/llama`, "-o", out]));
      await assertSameFolder(out, source);
    }));

  test("headrace serve: what it may not read is named, before it listens and while it serves", () =>
    withLab(async (lab) => {
      const nobody = await asNobody(lab);
      if (!nobody) return;
      const source = join(nobody.folder, "llama");
      await writeModel(source, PLAN);
      const shard = join(source, `${shardName(PLAN, 2)}.safetensors`);
      await chmod(shard, 0);
      const before = errorOf(await lab.run(["serve", source], nobody.options));
      assert.equal(before.code, "storage");
      assert.include(String(before.message), shard);
      assert.match(String(before.message), /permission/i);
      await chmod(shard, 0o444);
      const server = await lab.serve([source], nobody.options);
      await chmod(shard, 0);
      const out = lab.path("out");
      const args = ["pull", `${server.url}/llama`, "-o", out];
      // A path of the server's is nobody else's business: that one's log has it.
      assert.match(String(errorOf(await lab.run(args)).message), /its own files fail it; its log/);
      await server.process.logged(/Listing failed: .*permission/i);
      assert.include(server.process.stderr, shard);
      assert.isEmpty(await finalNames(out));
      await chmod(shard, 0o444);
      doneOf(await lab.run(args));
      await assertSameFolder(out, source);
    }));

  test("headrace pull: an output that may not be written is named, and can be put right", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { url } = await lab.serve([source]);
      const nobody = await asNobody(lab);
      if (nobody) {
        const parent = join(nobody.folder, "mine");
        await mkdir(parent, { mode: 0o555 });
        const args = ["pull", `${url}/llama`, "-o", join(parent, "out")];
        const error = errorOf(await lab.run(args, nobody.options));
        assert.equal(error.code, "storage");
        assert.match(String(error.message), /permission denied; change the permissions or choose/);
        assert.include(String(error.message), parent);
        await chmod(parent, 0o777);
        doneOf(await lab.run(args, nobody.options));
        await assertSameFolder(join(parent, "out"), source);
      }
      const file = lab.path("file");
      await writeFile(file, "");
      const inside = errorOf(await lab.run(["pull", `${url}/llama`, "-o", join(file, "out")]));
      assert.include(String(inside.message), file);
      assert.match(String(inside.message), /a part of the path is a file, not a folder; choose/);
    }));

  test("headrace: a port in use and a host that does not resolve are one line each", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", { ...PLAN, tensorBytes: 10 });
      const { url } = await lab.serve([source]);
      const serve = ["serve", source, "--listen", url];
      assert.equal(errorOf(await lab.run(serve)).code, "transport");
      const inUse = await lineOf(serve);
      assert.include(inUse, url);
      assert.match(inUse, /the port is in use; choose another or stop what holds it/);
      const environment = { OLLAMA_TENSOR_RETRY_DELAY: "1", OLLAMA_TENSOR_MAX_RETRIES: "1" };
      const unknown = "tcp://no-such-host.invalid:12094";
      const out = ["-o", lab.path("out")];
      const lost = await lineOf(["pull", `${unknown}/llama`, ...out], environment);
      assert.include(lost, unknown);
      assert.match(lost, /the host name does not resolve/);
      const closed = await freeUrl();
      const refused = await lineOf(["pull", `${closed}/llama`, ...out], environment);
      assert.include(refused, closed);
      assert.match(refused, /nothing listens there/);
      const missing = lab.path("missing");
      assert.include(await lineOf(["serve", missing]), missing);
      await mkdir(missing);
      assert.match(await lineOf(["serve", missing]), /Nothing to serve in .*missing: looked for/);
      await mkdir(join(missing, "x.safetensors"));
      assert.match(await lineOf(["serve", join(missing, "x.safetensors")]), /x\.safetensors/);
      assert.isEmpty(await finalNames(lab.path("out")));
    }));
};

/** A port on which nothing listens any more. */
async function freeUrl(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  await new Promise<void>((resolve) => void server.close(() => resolve()));
  return `tcp://127.0.0.1:${port}`;
}

/**
 * A folder of somebody whom file permissions bind, and `headrace` run by them: root reads and writes
 * whatever it likes. Says loudly why there is none.
 */
async function asNobody(lab: Lab): Promise<Nobody | undefined> {
  const folder = lab.path("nobody");
  await mkdir(folder);
  await chmod(lab.folder, 0o755);
  const { program, args } = headraceProgram();
  const environment = { HOME: folder, DENO_DIR: folder };
  if (process.getuid?.() !== 0) return { folder, options: { cwd: folder, environment } };
  await chown(folder, NOBODY, NOBODY);
  const user = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
  const nobody = { program: "setpriv", args: [...user, program, ...args] };
  const exit = await lab.run(["config"], { program: nobody, cwd: folder, environment });
  if (exit.code === 0) return { folder, options: { program: nobody, cwd: folder, environment } };
  console.warn(`SKIPPED here: headrace cannot be run by another user (${exit.stderr})`);
  return undefined;
}
