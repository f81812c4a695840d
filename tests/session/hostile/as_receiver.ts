import { assert } from "chai";
import { LimitError, ProtocolError } from "../../../lib/errors.ts";
import type { Suite } from "../../harness.ts";
import { turn } from "../../transports/conformance.ts";
import { LEAF } from "../support/tensors.ts";
import { type Fields, join } from "./support/cbor.ts";
import { checked, control, have, LAST, leaves, number, QUERY, TYPE } from "./support/frames.ts";
import { request } from "./support/messages.ts";
import { type Attack, besideNeighbour, type Scene } from "./support/scene.ts";
import { requests } from "./support/small_frames.ts";

const LEAVES = 4;
const asks = (other: Fields = {}) => control(TYPE.request, 1, request(1, "bulk", other));
const accept = (limit: number | bigint) => control(TYPE.accept, 1, { limit });
const receipt = (complete: boolean) => control(TYPE.receipt, 1, { complete });
const ack = (...runs: readonly (readonly [number, number])[]) => leaves(TYPE.ack, 1, ...runs);
const refetch = (...runs: readonly (readonly [number, number])[]) =>
  leaves(TYPE.refetch, 1, ...runs);

/** The bulk is asked for, and offered. */
async function offered(scene: Scene, hello: Fields = {}, other: Fields = {}): Promise<Attack> {
  const attack = await scene.greeted(hello);
  await attack.stranger.send(asks(other));
  await attack.stranger.next(TYPE.offer);
  return attack;
}

/** Everything of it has come but a receipt. */
async function complete(scene: Scene, other: Fields = {}): Promise<Attack> {
  const attack = await offered(scene, {}, other);
  await attack.stranger.send(accept(LEAVES * LEAF));
  await attack.stranger.next(TYPE.complete);
  return attack;
}

/** Bytes of chunks, before compression, whose first fragment has come. */
function sentBytes({ stranger }: Attack): number {
  let bytes = 0;
  for (const { payload } of stranger.waiting(TYPE.chunk)) {
    const view = new DataView(payload.buffer, payload.byteOffset);
    if (view.getUint32(16, true) === 0) bytes += view.getUint32(8, true);
  }
  return bytes;
}

export const hostileReceiverSuite: Suite = ({ test }) => {
  test(
    "hostile: a receiver that speaks before it is its turn is cut off",
    besideNeighbour(async (scene) => {
      const early = [
        accept(0),
        have(1, 0, [1]),
        have(1, 0, [1], LAST | QUERY),
        receipt(true),
        receipt(false),
        ack([0, 1]),
        refetch([0, 1]),
        number(TYPE.credit, 1, LEAF),
      ];
      for (const frame of early) {
        const attack = await scene.greeted();
        await attack.stranger.send(join(asks(), frame));
        await attack.cutOff(ProtocolError, /before (the offer|it accepted)/);
      }
      for (const frame of early.slice(3)) {
        const attack = await offered(scene);
        await attack.stranger.send(frame);
        await attack.cutOff(ProtocolError, /before it accepted/);
      }
      for (const frame of [accept(0), have(1, 0, [1]), receipt(true), receipt(false)]) {
        const attack = await offered(scene);
        await attack.stranger.send(accept(0), frame);
        await attack.cutOff(ProtocolError, /accepted twice|out of order|before it had everything/);
      }
      const queries = await complete(scene);
      const query = have(1, 0, [0x0f], LAST | QUERY);
      await queries.stranger.send(join(query, query));
      await queries.cutOff(ProtocolError, /out of order/);
    }),
  );

  test(
    "hostile: nothing is acknowledged or asked for again before it was sent",
    besideNeighbour(async (scene) => {
      const most = 2 ** 32 - 1;
      const wrong = [
        ack([0, 1]),
        ack([0, LEAVES]),
        refetch([0, 1]),
        refetch([LEAVES - 1, 1]),
        ack([LEAVES, 1]),
        refetch([0, LEAVES + 1]),
        ack([0, most]),
        ack([2 ** 53 - 1, most]),
        checked(TYPE.ack, 1, new Uint8Array(12)),
        checked(TYPE.refetch, 1, new Uint8Array(0)),
        checked(TYPE.refetch, 1, new Uint8Array(13)),
        have(1, 0, [0x10]),
        have(1, 8, [0x01]),
        have(1, 4, [0x01]),
        have(1, 2 ** 40, [0x01]),
      ];
      for (const frame of wrong) {
        const attack = await offered(scene);
        const isHave = frame[0] === TYPE.have;
        await attack.stranger.send(...(isHave ? [frame] : [accept(0), frame]));
        await attack.cutOff(ProtocolError, /The peer (spoke of|named|sent a (list|bitmap))/);
      }
      const some = await offered(scene);
      await some.stranger.send(accept(LEAF));
      while (sentBytes(some) < LEAF) await turn();
      await some.stranger.send(ack([0, 1]), ack([1, 1]));
      await some.cutOff(ProtocolError, /spoke of leaf 1 before it was sent/);
    }),
  );

  test(
    "hostile: what is acknowledged again and again is counted once",
    besideNeighbour(async (scene) => {
      const { stranger, peer } = await complete(scene);
      const [transfer] = peer.transfers;
      const runs = Array.from({ length: 5000 }, () => [0, LEAVES] as const);
      await stranger.send(ack(...runs), ack(...runs));
      await stranger.settled();
      assert.equal(transfer?.progress.bytes, LEAVES * LEAF);
      assert.equal(transfer?.status, "in_progress");
    }),
  );

  test(
    "hostile: no more leaves are asked for again than there are, and none outside a part",
    besideNeighbour(async (scene) => {
      const many = await complete(scene);
      await many.stranger.send(refetch([0, LEAVES], [0, 1]));
      await many.cutOff(ProtocolError, /more leaves than the tensor has/);
      const part = await complete(scene, { bytes: [0, LEAF] });
      assert.equal(sentBytes(part), LEAF);
      await part.stranger.send(refetch([0, 1]));
      await part.stranger.next(TYPE.complete);
      await part.stranger.send(refetch([1, 1]));
      await part.cutOff(ProtocolError, /spoke of leaf 1 before/);
    }),
  );

  test(
    "hostile: a part that cannot be is refused by itself, of a small tensor too",
    besideNeighbour(async (scene) => {
      const { stranger, ...attack } = await scene.greeted();
      const most = 2 ** 53 - 1;
      const parts: Fields[] = [
        { bytes: [0, 0] },
        { bytes: [5, 4] },
        { bytes: [0, most] },
        { bytes: [most, most] },
        { rows: [0, most] },
        { rows: [most, 0] },
      ];
      let stream = 1;
      for (const tensor of ["bulk", "small"]) {
        for (const part of parts) {
          await stranger.send(control(TYPE.request, stream, request(stream, tensor, part)));
          const fault = await stranger.fault(stream);
          assert.equal(fault.code, "limit");
          assert.isFalse(fault.retryable);
          stream += 2;
        }
      }
      await stranger.settled();
      assert.isEmpty(attack.peer.transfers);
    }),
  );

  test(
    "hostile: credit goes up and never down, and whatever is granted no more than that is sent",
    besideNeighbour(async (scene) => {
      const attack = await offered(scene, { connectionCredit: 3 * LEAF });
      const { stranger } = attack;
      const credit = (stream: number, bytes: number) => number(TYPE.credit, stream, bytes);
      await stranger.send(accept(2 * LEAF), credit(1, 0), credit(1, LEAF), credit(0, 0));
      while (sentBytes(attack) < 2 * LEAF) await turn();
      await stranger.settled();
      assert.equal(sentBytes(attack), 2 * LEAF);
      await stranger.send(credit(1, 2 ** 53 - 1), credit(0, 1));
      while (sentBytes(attack) < 3 * LEAF) await turn();
      await stranger.settled();
      assert.equal(sentBytes(attack), 3 * LEAF);
      await stranger.send(credit(0, 2 ** 53 - 1));
      await stranger.next(TYPE.complete);
      await stranger.send(receipt(true));
      await stranger.settled();
      assert.isEmpty(attack.peer.transfers);
    }),
  );

  test(
    "hostile: more transfers than may be open are refused, and those that stand still take no memory",
    besideNeighbour(
      async (scene) => {
        const { stranger, peer } = await scene.greeted({ connectionCredit: 2 ** 53 - 1 });
        const streams = Array.from({ length: 40 }, (_, n) => 2 * n + 1);
        for (const stream of streams) {
          await stranger.send(control(TYPE.request, stream, request(stream, "bulk")));
        }
        for (const stream of streams.slice(32)) {
          const fault = await stranger.fault(stream);
          assert.equal(fault.code, "limit");
          assert.isTrue(fault.retryable);
        }
        for (const stream of streams.slice(0, 32)) {
          await stranger.next(TYPE.offer, stream);
          await stranger.send(control(TYPE.pause, stream, { paused: true }));
          await stranger.send(control(TYPE.accept, stream, { limit: 2 ** 53 - 1 }));
        }
        await stranger.settled();
        assert.equal(peer.transfers.length, 32);
        assert.isTrue(peer.transfers.every(({ phase }) => phase === "paused"));
        assert.isEmpty(stranger.waiting(TYPE.chunk));
        for (const stream of streams.slice(0, 32)) {
          await stranger.send(
            control(TYPE.cancel, stream, { code: "x", retryable: true, message: "" }),
          );
        }
        await stranger.settled();
        assert.isEmpty(peer.transfers);
      },
      { limits: { maxTransfers: 32 } },
    ),
  );

  test(
    "hostile: more entries of lists than may be open end the connection",
    besideNeighbour(
      async (scene) => {
        const attack = await scene.greeted({ connectionCredit: 0 });
        const names = Array.from({ length: 100 }, () => ["m", "p", "small"] as const);
        for (let n = 0; n < 3; n++) await attack.stranger.send(requests(1 + 200 * n, names));
        await attack.cutOff(LimitError, /300 requests of lists open; at most 256 are taken/);
      },
      { limits: { maxRequests: 256 } },
    ),
  );
};
