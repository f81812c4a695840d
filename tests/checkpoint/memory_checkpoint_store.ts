import { assert } from "chai";
import { MemoryCheckpointStore } from "../../lib/checkpoint/mod.ts";
import { LimitError, StorageError } from "../../lib/errors.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { storeContract, type WithBench } from "./store_contract.ts";
import { bytesOf, fetchTensor } from "./tensors.ts";

const FOLDER = { kind: "folder", key: "m/*" } as const;

const inMemory: WithBench = (nowMs, body) => {
  const store = new MemoryCheckpointStore({ nowMs });
  return body({ store, finished: (output, fileName) => store.file(output, fileName) });
};

export const memoryCheckpointStoreSuite: Suite = (harness) => {
  storeContract("memory checkpoint store", inMemory)(harness);

  harness.test(
    "memory checkpoint store: takes no more memory than it may, and gives it back",
    async () => {
      const store = new MemoryCheckpointStore({ maxBytes: 300_000 });
      const bytes = bytesOf(100_000, 1); // two pages, and as much again once it is finished
      const one = await store.open("one", FOLDER);
      await fetchTensor(one, "f", 0, bytes);
      const two = await store.open("two", FOLDER);
      await fetchTensor(two, "f", 0, bytes);
      const full = () => one.finish([{ fileName: "f", byteLength: bytes.byteLength }]);
      await assertRejects(full, LimitError, /262144 of at most 300000 are taken/);
      await assertRejects(() => fetchTensor(two, "g", 0, bytes), LimitError, /Cannot keep 65536/);
      await two.discard();
      await full();
      assert.deepEqual(store.file("one", "f"), bytes);
      const three = await store.open("three", FOLDER);
      await fetchTensor(three, "f", 0, bytes);
      await assertRejects(() => fetchTensor(three, "g", 0, bytes), LimitError, /Cannot keep/);
      assert.throws(() => store.delete("three"), StorageError, /is writing to it/);
      store.delete("one");
      await fetchTensor(three, "g", 0, bytes);
      await three.release();
      await store.sweep({ maxAgeMs: 0 });
      const four = await store.open("four", FOLDER);
      for (const fileName of ["a", "b"]) await fetchTensor(four, fileName, 0, bytes);
      await four.release();
      store.delete("four");
      assert.deepEqual(await store.sweep({ maxAgeMs: 0 }), []);
    },
  );
};
