import { assert } from "chai";
import { LimitError } from "../../../lib/errors.ts";
import type { Suite } from "../../harness.ts";
import { turn } from "../../transports/conformance.ts";
import { join } from "./support/cbor.ts";
import { control, flood, TYPE } from "./support/frames.ts";
import { HeldStore } from "./support/held_store.ts";
import { EVERYTHING, idOf, offer, request } from "./support/messages.ts";
import { besideNeighbour, type Scene } from "./support/scene.ts";
import { requests, tensor } from "./support/small_frames.ts";

const MOST = 16;
const COUNT = 2000;
const FAULT = { code: "cancelled", retryable: false, message: "" };

type Kind = keyof HeldStore["calls"];

/** Begins something and ends it at once, again and again; gives the store once it is all over. */
async function begunAndCancelled(
  kind: Kind,
  make: (stream: number) => Uint8Array,
  end: (stream: number) => Uint8Array = (stream) => control(TYPE.cancel, stream, FAULT),
): Promise<HeldStore> {
  const store = new HeldStore(new Uint8Array(64));
  const body = async (scene: Scene) => {
    const { stranger, peer } = await scene.greeted();
    for (const bytes of flood(COUNT, (n) => join(make(2 * n + 1), end(2 * n + 1)))) {
      await stranger.send(bytes);
    }
    await stranger.settled();
    assert.isAtMost(store.calls[kind], 2 * MOST);
    const refused = stranger.waiting(TYPE.error);
    assert.isAtLeast(refused.length, COUNT - 2 * MOST);
    store.go();
    await stranger.settled();
    while (peer.transfers.length > 0) await turn();
    // What was in the way is gone.
    await stranger.send(make(2 * COUNT + 1));
    await stranger.settled();
    assert.isAbove(store.calls[kind], 0);
    assert.isEmpty(stranger.waiting(TYPE.error).slice(refused.length));
    stranger.leave();
    while (scene.host.peers.length > 1) await turn();
  };
  const limits = { maxTransfers: MOST, maxRequests: MOST };
  await besideNeighbour(body, { store, sinks: store, limits })();
  return store;
}

export const hostileResetsSuite: Suite = ({ test }) => {
  test("hostile: requests that are cancelled at once are opened no more than so many at a time", async () => {
    const store = await begunAndCancelled("open", (stream) =>
      control(TYPE.request, stream, request(stream, "x")),
    );
    assert.deepEqual(
      store.sources.map(({ closed }) => closed),
      store.sources.map(() => 1),
    );
  });

  test("hostile: pushes that are cancelled at once are accepted no more than so many at a time", async () => {
    const offered = await begunAndCancelled("accept", (stream) =>
      control(TYPE.offer, stream, offer(stream, "x", 2 ** 20)),
    );
    const small = await begunAndCancelled("accept", (stream) =>
      tensor(stream, new Uint8Array(8), { push: { id: idOf(stream), names: ["m", "p", "x"] } }),
    );
    for (const { sinks } of [offered, small]) {
      assert.deepEqual(
        sinks.map(({ released }) => released),
        sinks.map(() => 1),
      );
    }
  });

  test("hostile: listings that are cancelled at once are begun no more than so many at a time", async () => {
    await begunAndCancelled("list", (stream) =>
      control(TYPE.list, stream, { pattern: EVERYTHING, roots: false }),
    );
  });

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
      assert.isAtMost(store.calls.list, 2 * MOST);
      store.go();
    };
    await besideNeighbour(body, { store, limits: { maxTransfers: MOST } })();
  });

  test("hostile: request lists whose entries are cancelled at once do not add up", async () => {
    const store = new HeldStore(new Uint8Array(64));
    const body = async (scene: Scene) => {
      const attack = await scene.greeted();
      const { stranger } = attack;
      for (let round = 0; round < 4 && !stranger.isEnded; round++) {
        const streams = Array.from({ length: MOST }, (_, n) => 2 * (round * MOST + n) + 1);
        await stranger.send(...streams.map((stream) => requests(stream, [["m", "p", "x"]])));
        await turn();
        await stranger.send(...streams.map((stream) => control(TYPE.cancel, stream, FAULT)));
      }
      await attack.cutOff(LimitError, /requests of lists open; at most 16/);
      assert.equal(store.calls.open, 2 * MOST);
      store.go();
      while (store.sources.length < store.calls.open) await turn();
      for (let n = 0; n < 10; n++) await turn();
      assert.deepEqual(
        store.sources.map(({ closed }) => closed),
        store.sources.map(() => 1),
      );
    };
    await besideNeighbour(body, { store, limits: { maxRequests: MOST } })();
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
