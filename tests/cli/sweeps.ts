import { readdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { everyHour } from "../../lib/cli/every_hour.ts";
import { deferred } from "../../lib/deferred.ts";
import { bytesOf, fetchTensor, openFolder } from "../checkpoint/staging_fixture.ts";
import type { Suite } from "../harness.ts";
import { ManualClock } from "../session/support/manual_clock.ts";
import type { Exit } from "./support/headrace_process.ts";
import { doneOf, type Lab, type LabServer, withLab } from "./support/lab.ts";
import { assertSameFolder, type ModelPlan } from "./support/model.ts";

const MiB = 1024 * 1024;
const DAY_MS = 24 * 60 * 60 * 1000;
const HOUR_MS = 60 * 60 * 1000;
const PLAN: ModelPlan = { shards: 1, tensors: 2, tensorBytes: 16 * MiB + 321, seed: 5 };
const SMALL: ModelPlan = { shards: 1, tensors: 1, tensorBytes: 1000, seed: 6 };

/** Makes whatever is staged for an output look as if it was last written to so many days ago. */
function age(output: string, days: number): void {
  const staging = join(output, ".headrace");
  const then = new Date(Date.now() - days * DAY_MS);
  for (const name of readdirSync(staging)) utimesSync(join(staging, name), then, then);
}

/** Starts a pull over a link of this rate, and waits until it has let so many bytes through. */
async function startPull(
  lab: Lab,
  server: LabServer,
  output: string,
  { bytesPerSecond, bytes }: { readonly bytesPerSecond: number; readonly bytes: number },
) {
  const link = await lab.slowLink(server.url, bytesPerSecond);
  const pull = lab.start(["pull", `${link.url}/llama`, "-o", output]);
  await link.passed(bytes);
  return pull;
}

async function leave(lab: Lab, server: LabServer, output: string): Promise<void> {
  const pull = await startPull(lab, server, output, {
    bytesPerSecond: 32 * MiB,
    bytes: 10 * MiB,
  });
  await pull.kill();
  assert.include(readdirSync(join(output, ".headrace")), ".journal");
}

const sweptBy = ({ events }: Pick<Exit, "events">) =>
  events.filter(({ event }) => event === "swept").map(({ output, over }) => ({ output, over }));

export const sweepsSuite: Suite = ({ test }) => {
  test("headrace pull: sweeps what killed ones left in the same folder, and leaves running ones alone", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const server = await lab.serve([source, await lab.model("small", SMALL)]);
      const [old, young, running] = ["old", "young", "running"].map((name) =>
        lab.path("models", name),
      ) as [string, string, string];
      const pullSmall = async (name: string, environment = {}) => {
        const pull = ["pull", `${server.url}/small`, "-o", lab.path("models", name)];
        const exit = await lab.run(pull, { environment });
        doneOf(exit);
        return sweptBy(exit);
      };
      await leave(lab, server, old);
      await leave(lab, server, young);
      const pull = await startPull(lab, server, running, {
        bytesPerSecond: MiB, // takes half a minute for all of it
        bytes: 4 * MiB,
      });
      age(old, 20);

      const over = "checkpoint_max_age";
      assert.deepEqual(await pullSmall("first"), [{ output: old, over }]);
      assert.deepEqual(readdirSync(old), []);
      assert.deepEqual(readdirSync(young), [".headrace"]);
      const keepNone = { OLLAMA_TENSOR_CHECKPOINT_MAX_AGE: "0" };
      assert.deepEqual(await pullSmall("second", keepNone), [{ output: young, over }]);
      assert.deepEqual(readdirSync(young), []);
      await assertSameFolder(lab.path("models", "first"), lab.path("small"));

      assert.isFalse(
        pull.events.some(({ event }) => event === "done"),
        "it is still running",
      );
      await pull.kill();
      const resumed = doneOf(await lab.run(["pull", `${server.url}/llama`, "-o", running]));
      assert.isAtLeast(resumed.resumedBytes as number, MiB);
      await assertSameFolder(running, source);
    }));

  test("headrace pull: goes on with its own checkpoint, however old, and sweeps others by size", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const server = await lab.serve([source]);
      const [own, beside] = [lab.path("models", "own"), lab.path("models", "beside")];
      await leave(lab, server, own);
      await leave(lab, server, beside);
      age(own, 20);
      age(beside, 1);
      const environment = { OLLAMA_TENSOR_CHECKPOINT_MAX_BYTES: "1MiB" };
      const exit = await lab.run(["pull", `${server.url}/llama`, "-o", own], { environment });
      assert.isAtLeast(doneOf(exit).resumedBytes as number, MiB);
      assert.deepEqual(sweptBy(exit), [{ output: beside, over: "checkpoint_max_bytes" }]);
      await assertSameFolder(own, source);
    }));

  test("headrace serve: sweeps what pushes left in the folder that takes them, and logs it", () =>
    withLab(async (lab) => {
      const store = lab.path("store");
      for (const [name, days] of [
        ["young", 13],
        ["old", 15],
      ] as const) {
        const output = await openFolder(join(store, name), { key: name });
        await fetchTensor(output, "f", 0, bytesOf(100, 1));
        await output.release();
        age(join(store, name), days);
      }
      const { process } = await lab.serve(["--accept", store]);
      assert.equal((await process.event("swept")).output, join(store, "old"));
      assert.deepEqual(readdirSync(store), ["young"]);
      await process.logged(
        /info serve: Removed the unfinished \S+old, last written to on [0-9-]+ /,
      );
      assert.lengthOf(sweptBy(process), 1);
    }));

  test("headrace serve: sweeps again an hour after each sweep, never two at once, until it ends", async () => {
    const clock = new ManualClock();
    let begun = 0;
    let work = deferred<void>();
    const stop = everyHour(() => {
      begun++;
      return work.promise;
    }, clock);
    await clock.advance(5 * HOUR_MS);
    assert.equal(begun, 1);
    work.resolve();
    await clock.advance(HOUR_MS - 1);
    assert.equal(begun, 1);
    work = deferred();
    await clock.advance(1);
    assert.equal(begun, 2);
    let isStopped = false;
    const stopped = stop().then(() => {
      isStopped = true;
    });
    await clock.advance(HOUR_MS);
    assert.isFalse(isStopped);
    work.resolve();
    await stopped;
    await clock.advance(2 * HOUR_MS);
    assert.equal(begun, 2);
    assert.equal(clock.pending, 0);
  });
};
