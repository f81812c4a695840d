import { assert } from "chai";
import { countWork } from "../../complexity.ts";
import type { Suite } from "../../harness.ts";
import { LEAF } from "../support/tensors.ts";
import { chunk, control, TYPE } from "./support/frames.ts";
import { offer } from "./support/messages.ts";
import { PlainSinks } from "./support/plain_sinks.ts";
import { besideNeighbour, type Scene } from "./support/scene.ts";

const MiB = 1024 * 1024;

export const hostileMemorySuite: Suite = ({ test }) => {
  test("hostile: small pieces of many leaves take no more memory than they used credit for", async () => {
    const body = async (scene: Scene) => {
      const { stranger, peer } = await scene.greeted();
      const piece = new Uint8Array(1024);
      const work = await countWork(async () => {
        for (let stream = 1; stream < 64; stream += 2) {
          const said = { chunkBytes: piece.byteLength };
          await stranger.send(control(TYPE.offer, stream, offer(stream, "x", 8 * LEAF, said)));
          await stranger.next(TYPE.accept, stream);
          for (let leaf = 0; leaf < 8; leaf++)
            await stranger.send(chunk(stream, leaf * LEAF, piece));
        }
        await stranger.settled();
      });
      assert.equal(peer.heldBytes, 32 * 8 * piece.byteLength);
      assert.isBelow(work.allocatedBytes, 32 * MiB, "of 256 leaves that are begun");
    };
    await besideNeighbour(body, { sinks: new PlainSinks() })();
  });
};
