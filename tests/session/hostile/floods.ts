// Strangers that say much, read nothing, or say what others said before.
import { assert } from "chai";
import { LimitError, TransportError } from "../../../lib/errors.ts";
import { TensorPeer } from "../../../lib/session/peer.ts";
import { createDescriptor } from "../../../lib/tensor/descriptor.ts";
import { connectionPair } from "../../../lib/transports/memory.ts";
import { encodeListingEntry } from "../../../lib/wire/listing.ts";
import type { Suite } from "../../harness.ts";
import { assertRejects } from "../../rejects.ts";
import { transcripts } from "../../wire/transcript_vectors.ts";
import { ManualClock, settle } from "../support/manual_clock.ts";
import { LEAF, WEIGHTS } from "../support/tensors.ts";
import { join } from "./support/cbor.ts";
import { checked, control, leaves, number, receipts, TYPE } from "./support/frames.ts";
import { EVERYTHING, idOf, request } from "./support/messages.ts";
import { besideNeighbour } from "./support/scene.ts";
import { Stranger } from "./support/stranger.ts";

const MOST = 2 ** 53 - 1;

export const hostileFloodsSuite: Suite = ({ test }) => {
  const clock = new ManualClock();
  test(
    "hostile: whoever asks for much and reads nothing is sent little, and is cut off after a while",
    besideNeighbour(
      async (scene) => {
        const attack = await scene.greeted({ connectionCredit: MOST }, false);
        const { stranger, peer } = attack;
        const streams = Array.from({ length: 30 }, (_, n) => 1 + 2 * n);
        for (const n of streams) await stranger.send(control(TYPE.request, n, request(n, "bulk")));
        await settle();
        for (const n of streams) await stranger.send(control(TYPE.accept, n, { limit: MOST }));
        for (let seconds = 0; seconds < 65 && scene.host.peers.includes(peer); seconds += 5) {
          // Pings keep the link alive, but nothing shows that what is sent is read.
          await stranger.send(number(TYPE.ping, 0, seconds));
          await clock.advance(5_000);
          assert.isBelow(peer.sentBytes, LEAF, "no more than the buffers between hold");
          assert.equal(peer.heldBytes, 0);
        }
        await attack.endsWith(TransportError, /has read nothing for 6\d{4} ms/);
      },
      { clock },
    ),
  );

  test(
    "hostile: pings, credit and receipts by the ten thousand are swallowed, and answered by few frames",
    besideNeighbour(async (scene) => {
      const { stranger, peer } = await scene.greeted();
      await stranger.send(control(TYPE.request, 1, request(1, "bulk")));
      await stranger.next(TYPE.offer, 1);
      await stranger.send(control(TYPE.accept, 1, { limit: LEAF }));
      await stranger.next(TYPE.chunk, 1);
      const before = peer.sentBytes;
      for (let round = 0; round < 100; round++) {
        const many: Uint8Array[] = [];
        for (let n = 0; n < 100; n++) {
          many.push(number(TYPE.ping, 0, n), number(TYPE.credit, 0, n), number(TYPE.credit, 1, n));
          many.push(leaves(TYPE.ack, 1, [0, 1]));
        }
        await stranger.send(...many);
      }
      await stranger.settled(201);
      assert.isBelow(peer.sentBytes - before, LEAF + 10_000 * 28);
      assert.equal(peer.heldBytes, 0);
      const [transfer] = peer.transfers;
      assert.isAtMost(transfer?.progress.bytes ?? 0, LEAF);
      await stranger.send(receipts([1, 1]));
    }),
  );

  test(
    "hostile: more subscriptions than may be are refused for a while",
    besideNeighbour(
      async (scene) => {
        const { stranger } = await scene.greeted();
        const subscribe = { pattern: EVERYTHING, initial: false };
        for (const n of [1, 3, 5]) await stranger.send(control(TYPE.subscribe, n, subscribe));
        const fault = await stranger.fault(5);
        assert.equal(fault.code, "limit");
        assert.isTrue(fault.retryable);
        await stranger.settled();
      },
      { limits: { maxSubscriptions: 2 } },
    ),
  );

  for (const [name, [steps = []]] of Object.entries(transcripts)) {
    test(
      `hostile: all that was said in the transcript of a ${name} and is said again ends the connection`,
      besideNeighbour(async (scene) => {
        const said = steps.filter(({ from }) => from === "dialler").map(({ bytes }) => bytes);
        const attack = await scene.connect();
        await attack.stranger.send(...said, ...said);
        await attack.ended;
        assert.notInclude(scene.host.peers, attack.peer);
      }),
    );
  }

  test("hostile: a listing that does not end is given up", async () => {
    const [near, far] = connectionPair();
    const client = new TensorPeer(near, { limits: { maxListEntries: 100 } });
    client.closed.catch(() => {});
    const stranger = new Stranger(far);
    const listing = client.list();
    listing.catch(() => {});
    await stranger.greet({ instance: idOf(1) });
    const { stream } = await stranger.next(TYPE.list);
    const descriptor = createDescriptor("U8", [1]);
    const version = new Uint8Array(8);
    const entry = encodeListingEntry({ address: WEIGHTS, descriptor, version });
    const page = join(...Array.from({ length: 60 }, () => entry));
    for (let n = 0; n < 3; n++) await stranger.send(checked(TYPE.listing, stream, page));
    await assertRejects(() => listing, LimitError, /100/);
    stranger.leave();
    await client.close();
  });
};
