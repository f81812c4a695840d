import { assert } from "chai";
import type { Suite } from "../harness.ts";
import { quiet } from "../transports/conformance.ts";
import { doneOf, withLab } from "./support/lab.ts";
import { assertSameFolder, type ModelPlan, modelBytes } from "./support/model.ts";

const MiB = 1024 * 1024;
const PLAN: ModelPlan = { shards: 2, tensors: 3, tensorBytes: 4 * MiB + 99, seed: 8 };
const BYTES_PER_SECOND = 24 * MiB;
const MOST_OTHER_BYTES = 256 * 1024;

export const pullStoppedSuite: Suite = ({ test }) => {
  test("headrace pull: either side stopped for a while and continued costs nothing but the while", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const server = await lab.serve([source]);
      const link = await lab.slowLink(server.url, BYTES_PER_SECOND);
      const out = lab.path("out");
      const pull = lab.start(["pull", `${link.url}/llama`, "-o", out]);
      for (const [stopped, bytes] of [
        [server.process, 5 * MiB],
        [pull, 11 * MiB],
      ] as const) {
        await link.passed(bytes);
        stopped.signal("SIGSTOP");
        await quiet(() => link.passedBytes);
        assert.isBelow(link.passedBytes, modelBytes(PLAN), "it was stopped in the middle");
        stopped.signal("SIGCONT");
      }
      const done = doneOf(await pull.exit);
      assert.equal(done.retries, 0);
      assert.isAtMost(done.wireBytes as number, modelBytes(PLAN) + MOST_OTHER_BYTES);
      await assertSameFolder(out, source);
    }));
};
