import { join } from "node:path";
import { assert } from "chai";
import { StagedOutput } from "../../lib/checkpoint/staged_output.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import { logged } from "../session/support/logged.ts";
import { LEAF, WEIGHTS } from "../session/support/tensors.ts";

export const checkpointLogSuite: Suite = ({ test }) => {
  test("logs: a checkpoint that something is left of is told with how much; a new one is not", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, "model.safetensors");
      const descriptor = createDescriptor("U8", [2 * LEAF]);
      const records = await logged(async () => {
        const first = await StagedOutput.open(path, { kind: "file", key: "m/*" });
        const sink = first.sink("model.safetensors", 0, WEIGHTS, descriptor);
        await sink.begin(Uint8Array.of(1), []);
        await sink.write({ index: 0, digest: new Uint8Array(32) }, new Uint8Array(LEAF));
        await sink.release();
        await first.release();
        const again = await StagedOutput.open(path, { kind: "file", key: "m/*" });
        await again.release();
      });
      const told = records.filter(({ category }) => category.join() === "headrace,checkpoint");
      assert.lengthOf(told, 1);
      const { event, output, tensors, leaves } = told[0]?.properties ?? {};
      assert.deepEqual([event, output, tensors, leaves], ["checkpoint resumed", path, 1, 1]);
    }));
};
