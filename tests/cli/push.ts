import { type ChildProcess, spawn } from "node:child_process";
import { readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { assert } from "chai";
import { makeWeights } from "../../lib/cli/demo_weights.ts";
import { HeadraceError, TransportError, UnauthorisedError } from "../../lib/errors.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import {
  assertSameFiles,
  dialling,
  makeModel,
  NEVER,
  pushFrom,
  SHARD_BYTES,
  shardOf,
  withAccepting,
} from "./push_fixture.ts";
import { cleanEnvironment, headraceProgram, runHeadrace } from "./run_headrace.ts";

/** Pushes until `count` tensors have arrived and the server hangs up. */
async function pushPartOf(source: string, target: string, count: number): Promise<void> {
  await withAccepting(target, async (accepting) => {
    const { peer } = dialling(accepting.url, { retry: { maxRetries: 0 } });
    accepting.beforeAccept = ({ tensor }) => (tensor === "d" ? NEVER : undefined);
    accepting.onArrived = (before) => {
      if (before === count) for (const serving of accepting.host.peers) void serving.close();
    };
    await assertRejects(() => pushFrom(source, accepting.url, { peer }), HeadraceError, /./);
  });
}

export const pushSuite: Suite = ({ test }) => {
  test("push: a sharded model arrives byte for byte, and a second push sends none of what is large", () =>
    withTempFolder(async (folder) => {
      const source = join(folder, "gpt");
      const target = join(folder, "in");
      await makeModel(source, 1);
      await withAccepting(target, async ({ url }) => {
        const first = await pushFrom(source, url);
        await assertSameFiles(join(target, "gpt"), source);
        assert.equal(first.resumedBytes, 0);
        assert.equal(first.tensors, 13);
        const second = await pushFrom(source, url);
        // What fits into one frame is sent sooner than it is asked whether that is needed.
        assert.isAtLeast(second.resumedBytes, second.bytes - 10_000);
        assert.isBelow(second.sentBytes, 20_000);
        await assertSameFiles(join(target, "gpt"), source);
      });
    }));

  test("push: a single file gets its model's folder, under the name that was asked for", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, "tiny.safetensors");
      await writeFile(path, shardOf(9));
      await withAccepting(join(folder, "in"), async ({ url }) => {
        for (const model of ["other/../name", ".."]) await pushFrom(path, url, { model });
        await pushFrom(path, url);
      });
      assert.sameMembers(await readdir(join(folder, "in")), [
        "other%2F..%2Fname",
        "%2E%2E",
        "tiny",
      ]);
      assert.sameMembers(await readdir(folder), ["in", "tiny.safetensors"]);
      const arrived = await readFile(join(folder, "in", "tiny", "tiny.safetensors"));
      assert.isTrue(arrived.equals(shardOf(9)));
    }));

  test("push: a model that holds other files is not added to", () =>
    withTempFolder(async (folder) => {
      const target = join(folder, "in");
      const [first, second] = [join(folder, "v1.safetensors"), join(folder, "v2.safetensors")];
      await writeFile(first, shardOf(1));
      await writeFile(second, shardOf(2));
      await withAccepting(target, async ({ url }) => {
        await pushFrom(first, url, { model: "gpt" });
        const error = await assertRejects(
          () => pushFrom(second, url, { model: "gpt" }),
          UnauthorisedError,
          /gpt is there already and holds v1\.safetensors, which this push does not bring/,
        );
        assert.notInclude(error.message, folder);
        assert.deepEqual(await readdir(join(target, "gpt")), ["v1.safetensors"]);
        // Notes of whoever keeps the folder are no part of the model.
        await rename(join(target, "gpt", "v1.safetensors"), join(target, "gpt", "notes"));
        await pushFrom(second, url, { model: "gpt" });
        assert.sameMembers(await readdir(join(target, "gpt")), ["notes", "v2.safetensors"]);
      });
    }));

  test("push: after a cut the same push goes on from what has arrived", () =>
    withTempFolder(async (folder) => {
      const source = join(folder, "gpt");
      const target = join(folder, "in");
      await makeModel(source, 20);
      await withAccepting(target, async (accepting) => {
        const { peer, connections } = dialling(accepting.url);
        let arrivedBytes = 0;
        accepting.beforeAccept = ({ tensor }) =>
          tensor === "d" && connections.length === 1 ? NEVER : undefined;
        accepting.onArrived = (before, transfer) => {
          if (connections.length === 1) arrivedBytes += transfer.progress.bytes;
          if (before === 8) connections[0]?.close(new TransportError("cut by the test"));
        };
        const summary = await pushFrom(source, accepting.url, { peer });
        assert.equal(connections.length, 2);
        assert.isAbove(arrivedBytes, SHARD_BYTES / 2);
        // Of what had arrived nothing came twice; the slack is for lists, headers and frames.
        assert.isBelow(summary.sentBytes, 2 * summary.bytes - arrivedBytes + 100_000);
        await assertSameFiles(join(target, "gpt"), source);
      });
    }));

  test("push: a later push goes on from what an earlier one left, also at a new server", () =>
    withTempFolder(async (folder) => {
      const source = join(folder, "gpt");
      const target = join(folder, "in");
      await makeModel(source, 30);
      await pushPartOf(source, target, 8);
      assert.deepEqual(await readdir(join(target, "gpt")), [".headrace"]);
      await withAccepting(target, async ({ url }) => {
        const summary = await pushFrom(source, url);
        assert.isAbove(summary.resumedBytes, SHARD_BYTES / 2);
        assert.isBelow(summary.sentBytes, summary.bytes - summary.resumedBytes + 100_000);
      });
      await assertSameFiles(join(target, "gpt"), source);
    }));

  test("push: a source that changed between two pushes arrives as it is now, whole", () =>
    withTempFolder(async (folder) => {
      const source = join(folder, "gpt");
      const target = join(folder, "in");
      await makeModel(source, 40);
      await pushPartOf(source, target, 9);
      await writeFile(join(source, "w-1-of-3.safetensors"), shardOf(99));
      await withAccepting(target, async ({ url }) => {
        await pushFrom(source, url);
      });
      await assertSameFiles(join(target, "gpt"), source);
    }));

  test("push: a source that changes while it is pushed arrives as it is now, whole", () =>
    withTempFolder(async (folder) => {
      const source = join(folder, "gpt");
      const target = join(folder, "in");
      await makeModel(source, 50);
      await withAccepting(target, async (accepting) => {
        let changed: Promise<void> | undefined;
        accepting.beforeAccept = ({ tensor }) => {
          if (tensor !== "d") return undefined;
          changed ??= writeFile(join(source, "w-1-of-3.safetensors"), shardOf(98));
          return changed;
        };
        await pushFrom(source, accepting.url);
        assert.isDefined(changed);
      });
      await assertSameFiles(join(target, "gpt"), source);
    }));

  test("push: what is there already and differs is refused and stays as it is", () =>
    withTempFolder(async (folder) => {
      const source = join(folder, "gpt");
      const target = join(folder, "in");
      await makeModel(source, 60);
      await withAccepting(target, async ({ url }) => {
        await pushFrom(source, url);
        await writeFile(join(target, "gpt", "w-2-of-3.safetensors"), shardOf(97));
        await assertRejects(() => pushFrom(source, url), UnauthorisedError, /w-2-of-3.*differs/);
        await writeFile(join(source, "config.json"), "{}");
        await assertRejects(() => pushFrom(source, url), UnauthorisedError, /config\.json differs/);
      });
      const kept = await readFile(join(target, "gpt", "w-2-of-3.safetensors"));
      assert.isTrue(kept.equals(shardOf(97)));
      assert.equal((await readdir(join(target, "gpt"))).length, 4);
    }));

  test("push: a peer that accepts nothing says so", () =>
    withTempFolder(async (folder) => {
      await makeModel(join(folder, "gpt"), 70);
      await withAccepting(undefined, async ({ url }) => {
        await assertRejects(
          () => pushFrom(join(folder, "gpt"), url),
          UnauthorisedError,
          /no pushes/,
        );
      });
    }));

  test("push: two models at once, from two peers", () =>
    withTempFolder(async (folder) => {
      const target = join(folder, "in");
      for (const name of ["one", "two"]) await makeModel(join(folder, name), name.length * 80);
      await withAccepting(target, async ({ url }) => {
        await Promise.all(["one", "two"].map((name) => pushFrom(join(folder, name), url)));
      });
      for (const name of ["one", "two"]) {
        await assertSameFiles(join(target, name), join(folder, name));
      }
    }));

  test("push: the commands survive the hard end of the server and of the pusher", () =>
    withTempFolder(async (folder) => {
      const source = join(folder, "model");
      const target = join(folder, "in");
      await makeWeights(source);
      let server = await startServer(target);
      try {
        const pusher = start(["push", source, server.url, "--json"]);
        await server.arrived(300);
        await killed(pusher);
        const cut = runHeadrace(["push", source, server.url, "--json"]);
        await server.arrived(600);
        await killed(server.process);
        assert.equal((await cut).code, 1);
        assert.deepEqual(await readdir(join(target, "model")), [".headrace"]);
        server = await startServer(target);
        const last = await runHeadrace(["push", source, server.url, "--json"]);
        assert.equal(last.code, 0, last.stdout);
        const done = JSON.parse(last.stdout.trim().split("\n").at(-1) as string);
        assert.equal(done.event, "done");
        assert.isAbove(done.resumedBytes, 0);
        await assertSameFiles(join(target, "model"), source);
      } finally {
        await killed(server.process);
      }
    }));
};

function start(args: readonly string[]): ChildProcess {
  const headrace = headraceProgram();
  return spawn(headrace.program, [...headrace.args, ...args], {
    stdio: ["ignore", "pipe", "ignore"],
    env: cleanEnvironment(),
  });
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
}

/** A server of its own process; `arrived` waits for so many tensors more. */
async function startServer(target: string) {
  const child = start(["serve", "--accept", target, "--listen", "tcp://127.0.0.1:0", "--json"]);
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const events = lines[Symbol.asyncIterator]();
  const next = async () => {
    const line = await events.next();
    if (line.done === true) throw new Error("the server ended");
    return JSON.parse(line.value);
  };
  const [url] = (await next()).urls as [string];
  const arrived = async (count: number) => {
    for (let seen = 0; seen < count; ) if ((await next()).status === "complete") seen++;
  };
  return { process: child, url, arrived };
}
