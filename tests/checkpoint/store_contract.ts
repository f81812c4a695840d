import { assert } from "chai";
import type { CheckpointStore } from "../../lib/checkpoint/mod.ts";
import { StorageError } from "../../lib/errors.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { bytesOf, fetchTensor, heldIndices, sinkOf, V1, V2, writeLeaf } from "./tensors.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const FOLDER = { kind: "folder", key: "m/*" } as const;
const body = bytesOf(2 * LEAF_BYTES + 5, 2);

/** A store to be tested, and what it has finished. */
export interface Bench {
  readonly store: CheckpointStore;
  finished(
    output: string,
    fileName: string,
  ): Uint8Array | undefined | Promise<Uint8Array | undefined>;
}

/** Lends a new store whose clock is `nowMs`. */
export type WithBench = (
  nowMs: () => number,
  body: (bench: Bench) => Promise<void>,
) => Promise<void>;

/** What every store of checkpoints keeps to. */
export const storeContract =
  (name: string, withBench: WithBench): Suite =>
  ({ test }) => {
    const now = () => Date.now();

    test(`${name}: what was verified is held by the next one to open the output, and then finished`, () =>
      withBench(now, async ({ store, finished }) => {
        const first = await store.open("out", FOLDER);
        assert.isFalse(first.recovered);
        const sink = sinkOf(first, "f", 0, body.byteLength);
        assert.isUndefined(await sink.held());
        await sink.begin(V1, []);
        await writeLeaf(sink, body, 2);
        await writeLeaf(sink, body, 0);
        await assertRejects(() => sink.commit(undefined), TypeError, /3 leaves .* with 2/);
        await first.release();
        await first.release();
        await assertRejects(() => writeLeaf(sink, body, 1), StorageError, /let go/);
        assert.isUndefined(await finished("out", "f"));

        const second = await store.open("out", FOLDER);
        assert.deepEqual(second.names(), ["f"]);
        const resumed = sinkOf(second, "f", 0, body.byteLength);
        assert.deepEqual((await resumed.held())?.version, V1);
        assert.deepEqual(await heldIndices(resumed), [0, 2]);
        await resumed.release();
        assert.deepEqual(await fetchTensor(second, "f", 0, body), [1]);
        const middle = new Uint8Array(LEAF_BYTES);
        assert.isTrue(await second.read("f", 10, middle));
        assert.deepEqual(middle, body.subarray(10, 10 + LEAF_BYTES));
        assert.isFalse(await second.read("f", body.byteLength - 1, new Uint8Array(2)));
        assert.isFalse(await second.read("g", 0, new Uint8Array(1)));
        const files = [{ fileName: "f", byteLength: body.byteLength }];
        await second.finish(files);
        assert.deepEqual(await finished("out", "f"), body);

        const third = await store.open("out", FOLDER);
        assert.deepEqual(third.names(), [], "what is finished is no checkpoint");
        await third.release();
      }));

    test(`${name}: a tensor is known by output, place, address and descriptor, and a version by its bytes`, () =>
      withBench(now, async ({ store }) => {
        const first = await store.open("out", FOLDER);
        await fetchTensor(first, "f", 7, body);
        await first.release();
        const other = await store.open("other", FOLDER);
        assert.isUndefined(await sinkOf(other, "f", 7, body.byteLength).held());
        await other.release();
        const second = await store.open("out", FOLDER);
        for (const [fileName, fileOffset, byteLength, tensor] of [
          ["f", 7, body.byteLength, "another"],
          ["f", 7, body.byteLength - 1, "t7"],
          ["f", 8, body.byteLength, "t7"],
          ["g", 7, body.byteLength, "t7"],
        ] as const) {
          const stranger = sinkOf(second, fileName, fileOffset, byteLength, tensor);
          assert.isUndefined(await stranger.held());
          await stranger.release();
        }
        assert.deepEqual(await fetchTensor(second, "f", 7, body, V2), [0, 1, 2]);
        await second.release();
        const careful = () =>
          store.open("out", { ...FOLDER, key: "something else", keepsOther: true });
        await assertRejects(careful, StorageError, /verified bytes of .*, unfinished, are there/);
        const third = await store.open("out", { ...FOLDER, key: "something else" });
        assert.deepEqual(third.names(), []);
        await third.release();
        await (await careful()).release();
        const tooLong = () => store.open("out", { ...FOLDER, key: "x".repeat(4097) });
        await assertRejects(tooLong, RangeError, /at most 4096/);
      }));

    test(`${name}: whoever has an output open is the only one who writes to it`, () =>
      withBench(now, async ({ store }) => {
        const first = await store.open("out", FOLDER);
        await assertRejects(() => store.open("out", FOLDER), StorageError, /is writing to it/);
        const sink = sinkOf(first, "f", 0, 100);
        assert.throws(() => sinkOf(first, "f", 99, 10), StorageError, /another transfer/);
        const early = () => first.finish([{ fileName: "f", byteLength: 100 }]);
        await assertRejects(early, TypeError, /1 sinks not released/);
        await sink.release();
        await (await store.open("other", FOLDER)).release();
        await first.discard();
        assert.throws(() => sinkOf(first, "f", 0, 100), StorageError, /was closed/);
        await assertRejects(() => first.discard(), StorageError, /was closed/);
        await (await store.open("out", FOLDER)).release();
      }));

    test(`${name}: an output is finished when every byte is verified, and replaces nothing unasked`, () =>
      withBench(now, async ({ store, finished }) => {
        const files = [{ fileName: "f", byteLength: body.byteLength }];
        const older = body.toReversed();
        const first = await store.open("out", FOLDER);
        await fetchTensor(first, "f", 5, body.subarray(5));
        await assertRejects(() => first.finish(files), StorageError, /from byte 0 on/);
        await fetchTensor(first, "f", 0, older.subarray(0, 5));
        await fetchTensor(first, "f", 5, older.subarray(5), V2);
        await assertRejects(() => first.finish([]), TypeError, /not given f/);
        await first.finish(files);
        assert.deepEqual(await finished("out", "f"), older);

        const second = await store.open("out", FOLDER);
        await fetchTensor(second, "f", 0, body);
        await assertRejects(() => second.finish(files), StorageError, /something else is there/);
        assert.deepEqual(await finished("out", "f"), older);
        await second.finish(files, { overwrite: true });
        assert.deepEqual(await finished("out", "f"), body);
      }));

    test(`${name}: a sweep removes what nobody has open and is too old or too much, the oldest first`, () => {
      let laterMs = 0;
      return withBench(
        () => Date.now() + laterMs,
        async ({ store, finished }) => {
          for (const output of ["kept", "open", "whole"]) {
            const checkpoint = await store.open(output, FOLDER);
            await fetchTensor(checkpoint, "f", 0, body);
            if (output === "whole")
              await checkpoint.finish([{ fileName: "f", byteLength: body.byteLength }]);
            else await checkpoint.release();
          }
          const open = await store.open("open", FOLDER);
          const swept = async (limits: Parameters<CheckpointStore["sweep"]>[0]) => {
            const found = await store.sweep(limits);
            for (const { bytes } of found) assert.isAtLeast(bytes, body.byteLength);
            return found.map(({ output, over }) => [output.replace(/^.*[/\\]/, ""), over]);
          };
          assert.deepEqual(await swept({}), []);
          assert.deepEqual(await swept({ maxBytes: 2 * body.byteLength }), []);
          laterMs = DAY_MS;
          assert.deepEqual(await swept({ maxAgeMs: 2 * DAY_MS, maxBytes: "unlimited" }), []);
          assert.deepEqual(await swept({ maxAgeMs: "unlimited", maxBytes: body.byteLength - 1 }), [
            ["kept", "size"],
          ]);
          assert.deepEqual(await heldIndices(sinkOf(open, "f", 0, body.byteLength)), [0, 1, 2]);
          await open.release();
          assert.deepEqual(await swept({ maxAgeMs: DAY_MS / 2 }), [["open", "age"]]);
          assert.deepEqual(await swept({ maxAgeMs: 0, maxBytes: 0 }), []);
          assert.deepEqual(await finished("whole", "f"), body);
          const anew = await store.open("kept", FOLDER);
          assert.deepEqual(anew.names(), []);
          await anew.release();
        },
      );
    });
  };
