import { MemoryStore, TensorPeer } from "../../../mod.ts";
import { joinOther } from "../transfer.ts";
import type { Part } from "../two_processes.ts";
import { indexOf, itemsOf, nameOf } from "./items.ts";
import type { SmallWay } from "./way.ts";

/** Requests under way at once, where each tensor is asked for by itself. */
const AT_ONCE = 128;

/** A transfer for each item. */
export const transfersWay: SmallWay = {
  canRepeat: true,
  serve,
  async join(part) {
    const peer = new TensorPeer(await joinOther(part), { codecs: [] });
    await peer.remoteHello();
    return {
      async getAll(count, take) {
        let next = 0;
        const askOn = async () => {
          while (next < count) {
            const index = next++;
            const address = { model: "bench", partition: "default", tensor: nameOf(index) };
            take(index, await peer.requestTensor(address, { into: "memory" }).bytes());
          }
        };
        await Promise.all(Array.from({ length: AT_ONCE }, askOn));
      },
      leave: () => peer.close(),
    };
  },
};

/** All items in request lists. */
export const listsWay: SmallWay = {
  canRepeat: true,
  serve,
  async join(part) {
    const peer = new TensorPeer(await joinOther(part), { codecs: [] });
    await peer.remoteHello();
    return {
      async getAll(count, take) {
        const addresses = Array.from({ length: count }, (_, index) => ({
          model: "bench",
          partition: "default",
          tensor: nameOf(index),
        }));
        for await (const { address, bytes } of peer.requestTensors(addresses)) {
          take(indexOf(address.tensor), bytes);
        }
      },
      leave: () => peer.close(),
    };
  },
};

async function serve(part: Part, count: number): Promise<void> {
  const itemAt = itemsOf(count);
  const store = new MemoryStore();
  for (let index = 0; index < count; index++) {
    const address = { model: "bench", partition: "default", tensor: nameOf(index) };
    store.set(address, itemAt(index));
  }
  const peer = new TensorPeer(await joinOther(part), { accepted: true, store, codecs: [] });
  await peer.closed;
}
