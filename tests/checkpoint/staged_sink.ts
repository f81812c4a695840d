import { assert } from "chai";
import { DURABLE, type JournalRecord } from "../../lib/checkpoint/journal.ts";
import { Ledger } from "../../lib/checkpoint/ledger.ts";
import type { StagedFile } from "../../lib/checkpoint/staged_file.ts";
import { StagedSink } from "../../lib/checkpoint/staged_sink.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import { sha256 } from "../../lib/tensor/mod.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";

const VERSION = Uint8Array.of(1);
const PLACE = { fileName: "f", fileOffset: 7, byteLength: LEAF_BYTES + 3, tensorKey: "t" };
const digest = (fill: number) => new Uint8Array(32).fill(fill);

/** What a sink does to its file and its journal, in the order in which each was done with. */
class Bench {
  readonly ledger = new Ledger();
  readonly done: string[] = [];
  readonly sink: StagedSink;
  /** Called before a step is done; what it throws is that step's failure. */
  before: (step: string) => Promise<void> | void = () => {};

  constructor(boot: string) {
    const file: StagedFile = {
      write: (bytes, position) => this.#step(`write ${bytes.byteLength} at ${position}`),
      read: async () => false,
      sync: () => this.#step("sync"),
    };
    this.sink = new StagedSink(
      {
        pace: "disk",
        ledger: this.ledger,
        boot,
        sha256,
        trusts: () => true,
        record: async (records) => {
          await this.#step(`record ${records.map(({ kind }) => kind).join(" ")}`);
          for (const record of records) this.ledger.apply(record as JournalRecord);
        },
        useFile: (_attempted, _fileName, work) => work(file),
        onRelease: () => {},
      },
      PLACE,
    );
  }

  async #step(step: string): Promise<void> {
    await this.before(step);
    this.done.push(step);
  }
}

export const stagedSinkSuite: Suite = ({ test }) => {
  test("staged sink: a leaf is recorded when its bytes are written, and taken back before they change", async () => {
    const { sink, done } = new Bench("boot");
    await sink.begin(VERSION, []);
    await sink.write({ index: 1, digest: digest(1) }, new Uint8Array(3));
    await sink.write({ index: 1, digest: digest(2) }, new Uint8Array(3));
    const write = `write 3 at ${7 + LEAF_BYTES}`;
    const again = ["record forget", write, "record leaf"];
    assert.deepEqual(done, ["record begin", write, "record leaf", ...again]);
  });

  test("staged sink: a durable one syncs the bytes before it records them, and what it keeps", async () => {
    const bench = new Bench(DURABLE);
    const { sink, done } = bench;
    await sink.begin(VERSION, []);
    await sink.write({ index: 1, digest: digest(1) }, new Uint8Array(3));
    await sink.write({ index: 1, digest: digest(2) }, new Uint8Array(3));
    const write = `write 3 at ${7 + LEAF_BYTES}`;
    const again = ["record forget", write, "sync", "record leaf"];
    assert.deepEqual(done, ["record begin", write, "sync", "record leaf", ...again]);
    done.length = 0;
    await sink.begin(Uint8Array.of(2), [{ index: 1, digest: digest(2) }]);
    assert.deepEqual(done, ["sync", "record begin leaf"]);
  });

  test("staged sink: nothing is recorded while or after its bytes fail to be written or synced", async () => {
    for (const failing of ["write", "sync"]) {
      const bench = new Bench(DURABLE);
      const { sink, done } = bench;
      await sink.begin(VERSION, []);
      let fail: (cause: Error) => void = () => {};
      const reached = new Promise<void>((resolve) => {
        bench.before = (step) => {
          if (!step.startsWith(failing)) return;
          resolve();
          return new Promise((_, reject) => {
            fail = reject;
          });
        };
      });
      const written = sink.write({ index: 0, digest: digest(1) }, new Uint8Array(LEAF_BYTES));
      await reached;
      assert.notInclude(done, "record leaf");
      fail(new Error("no more"));
      await assertRejects(() => written, Error, /no more/);
      assert.notInclude(done, "record leaf");
      assert.deepEqual((await sink.held())?.leaves, []);
    }
  });

  test("staged sink: a leaf whose taking back fails is not overwritten", async () => {
    const bench = new Bench("boot");
    const { sink, done } = bench;
    await sink.begin(VERSION, []);
    await sink.write({ index: 1, digest: digest(1) }, new Uint8Array(3));
    const before = [...done];
    bench.before = (step) => {
      if (step === "record forget") throw new Error("no more");
    };
    const again = () => sink.write({ index: 1, digest: digest(2) }, new Uint8Array(3));
    await assertRejects(again, Error, /no more/);
    assert.deepEqual(done, before);
    assert.deepEqual((await sink.held())?.leaves, [{ index: 1, digest: digest(1) }]);
  });
};
