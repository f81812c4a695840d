// docs/edge.md followed word for word: its workers in a real workerd, and the commands it gives.
import { get } from "node:http";
import { assert } from "chai";
import { PeerHost } from "../../lib/session/host.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { doneOf, withLab } from "../cli/support/lab.ts";
import { assertSameFolder, type ModelPlan, tensorName } from "../cli/support/model.ts";
import { guideModule } from "../guide_blocks.ts";
import type { Suite } from "../harness.ts";
import { tcpAdapterOf } from "../transports/adapter.ts";
import { withBucketWorker, withWorker } from "./running_worker.ts";

const PLAN: ModelPlan = { shards: 2, tensors: 3, tensorBytes: 1024 * 1024 + 4321, seed: 9 };
/** The status of an answer to a request for what a worker is called at. */
function statusOf(url: string, headers: Readonly<Record<string, string>>): Promise<number> {
  return new Promise((resolve, reject) => {
    get(url, { headers }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode ?? 0));
    }).once("error", reject);
  });
}

export const edgeGuideSuite: Suite = ({ test, runtime }) => {
  // The guide is for workers: who asks them is seen elsewhere.
  if (runtime !== "node26") return;

  test("edge guide: its worker gives a bucket to ls and pull, to the hosts and origins it names (node26 only)", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const entry = guideModule("edge", "R2Store");
      await withBucketWorker(entry, { "models/llama": source }, async ({ url }) => {
        const webSocketUrl = url.replace("http", "ws");
        const { events } = await lab.run(["ls", webSocketUrl]);
        assert.include(JSON.stringify(events), tensorName(0, 0));
        for (const [name, from] of [
          ["by-websocket", webSocketUrl],
          ["by-http", url],
        ] as const) {
          const out = lab.path(name);
          const { verified } = doneOf(await lab.run(["pull", `${from}/llama`, "-o", out]));
          assert.notEqual(verified, "length", name);
          await assertSameFolder(out, source);
        }
        const path = `${url}/llama`;
        assert.equal(await statusOf(path, { host: "weights.example" }), 200);
        assert.equal(await statusOf(path, { host: "other.example" }), 403);
        assert.equal(await statusOf(path, { origin: "https://app.example" }), 200);
        assert.equal(await statusOf(path, { origin: "https://other.example" }), 403);
      });
    }));

  test("edge guide: its worker dials a peer and lists what is there (node26 only)", async () => {
    const store = new MemoryStore();
    for (const tensor of ["a", "b"]) {
      store.set({ model: "llama", partition: "p", tensor }, new Float32Array([1, 2, 3]));
    }
    const listener = await tcpAdapterOf(runtime).listen("tcp://127.0.0.1:0");
    const host = new PeerHost(listener.connections, { peer: () => ({ store }) });
    try {
      const entry = guideModule("edge", "tcp://weights.example:12094", (code) =>
        code.replace("tcp://weights.example:12094", listener.url),
      );
      await withWorker(entry, {}, async ({ url }) => {
        assert.sameMembers((await (await fetch(url)).json()) as string[], ["a", "b"]);
      });
    } finally {
      await host.close();
      await listener.close();
    }
  });
};
