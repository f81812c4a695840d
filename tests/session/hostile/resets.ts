import { assert } from "chai";
import type { Suite } from "../../harness.ts";
import { turn } from "../../transports/conformance.ts";
import { join } from "./support/cbor.ts";
import { control, flood, TYPE } from "./support/frames.ts";
import { HeldStore } from "./support/held_store.ts";
import { EVERYTHING } from "./support/messages.ts";
import { besideNeighbour, type Scene } from "./support/scene.ts";
import { requests } from "./support/small_frames.ts";

const MOST = 16;
const COUNT = 2000;

export const hostileResetsSuite: Suite = ({ test }) => {
  test("hostile: subscriptions that end at once leave nobody watching", async () => {
    const store = new HeldStore(new Uint8Array(64));
    const body = async (scene: Scene) => {
      const { stranger } = await scene.greeted();
      for (const initial of [false, true]) {
        const from = initial ? 2 * COUNT : 0;
        const both = (n: number) => {
          const stream = from + 2 * n + 1;
          const begin = control(TYPE.subscribe, stream, { pattern: EVERYTHING, initial });
          return join(begin, control(TYPE.unsubscribe, stream, {}));
        };
        for (const bytes of flood(COUNT, both)) await stranger.send(bytes);
        await stranger.settled();
      }
      assert.equal(store.watching, 0);
      store.go();
    };
    await besideNeighbour(body, { store, limits: { maxTransfers: MOST } })();
  });

  test("hostile: whoever leaves while its request lists wait for credit leaves no source open", async () => {
    const store = new HeldStore(new Uint8Array(64));
    store.go();
    const body = async (scene: Scene) => {
      const { stranger } = await scene.greeted({ connectionCredit: 0 });
      const names = Array.from({ length: 100 }, (_, n) => ["m", "p", `x${n}`] as const);
      await stranger.send(requests(1, names));
      await stranger.settled();
      assert.isAbove(store.sources.length, 0);
      assert.isAtMost(store.sources.length, 8);
      stranger.leave();
      while (store.sources.some(({ closed }) => closed === 0)) await turn();
      assert.isAtMost(store.sources.length, 8);
    };
    await besideNeighbour(body, { store })();
  });
};
