import { ByteSource, TensorPeer } from "../../../mod.ts";
import { joinOther } from "../transfer.ts";
import type { Part } from "../two_processes.ts";
import { ITEM_BYTES, indexOf, itemsOf, nameOf } from "./items.ts";
import type { SmallWay } from "./way.ts";

/** Requests under way at once, where each tensor is asked for by itself. */
const AT_ONCE = 128;

/** A transfer for each item. */
export const transfersWay: SmallWay = {
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

async function serve(part: Part, count: number): Promise<void> {
  const itemAt = itemsOf(count);
  const open = async ({ tensor }: { tensor: string }) =>
    new ByteSource(itemAt(indexOf(tensor)), { dtype: "U8", shape: [ITEM_BYTES] });
  const store = { async *list() {}, open };
  const peer = new TensorPeer(await joinOther(part), { accepted: true, store, codecs: [] });
  await peer.closed;
}
