import { assert } from "chai";
import {
  HeadraceError,
  LimitError,
  ProtocolError,
  TransportError,
  UnauthorisedError,
} from "../../../lib/errors.ts";
import type { Suite } from "../../harness.ts";
import { turn } from "../../transports/conformance.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { type Fields, Raw } from "./support/cbor.ts";
import { chunk, control, frame, number, preamble, receipts, TYPE } from "./support/frames.ts";
import { EVERYTHING, HELLO, idOf, request } from "./support/messages.ts";
import { besideNeighbour } from "./support/scene.ts";
import { tensor } from "./support/small_frames.ts";

const text = (value: string) => new TextEncoder().encode(value);
const hello = (other: Fields = {}) => control(TYPE.hello, 0, { ...HELLO, ...other });

export const hostileHelloSuite: Suite = ({ test }) => {
  test(
    "hostile: whoever does not speak headrace is cut off at the first wrong byte, without an answer",
    besideNeighbour(async (scene) => {
      const strangers = [text("GET / HTTP/1.1\r\n"), Uint8Array.of(0x16, 3, 1, 0), text("hdrd")];
      for (const bytes of strangers) {
        const attack = await scene.connect();
        await attack.stranger.send(bytes);
        await attack.endsWith(ProtocolError, /does not speak headrace/);
        await attack.stranger.ended;
        assert.equal(attack.stranger.heardBytes, 0);
      }
    }),
  );

  test(
    "hostile: versions that have nothing in common, or are none, are told so",
    besideNeighbour(async (scene) => {
      for (const [lowest, highest] of [
        [2, 9],
        [0, 0],
        [9, 1],
        [0xffff, 0],
      ]) {
        const attack = await scene.connect();
        await attack.stranger.send(preamble(lowest, highest), hello());
        await attack.cutOff(ProtocolError, /version/i);
      }
    }),
  );

  test(
    "hostile: nothing is done for anybody before HELLO, and HELLO is said once",
    besideNeighbour(async (scene) => {
      const early = [
        number(TYPE.ping, 0, 1),
        number(TYPE.credit, 0, 1),
        receipts([1, 1]),
        control(TYPE.goodbye, 0, {}),
        control(TYPE.lane, 0, { lane: 1, key: idOf(1) }),
        control(TYPE.request, 1, request(1, "bulk")),
        control(TYPE.list, 1, { pattern: EVERYTHING, roots: true }),
        chunk(1, 0, new Uint8Array(1)),
        tensor(1, new Uint8Array(1)),
      ];
      for (const bytes of early) {
        const attack = await scene.connect();
        await attack.stranger.send(preamble(), bytes, hello());
        await attack.cutOff(ProtocolError, /before HELLO/);
        assert.isEmpty(attack.stranger.waiting(TYPE.hello));
      }
      const again = await scene.greeted();
      await again.stranger.send(hello());
      await again.cutOff(ProtocolError, /HELLO twice/);
    }),
  );

  test(
    "hostile: a HELLO that cannot be is refused before anything is made of it",
    besideNeighbour(async (scene) => {
      const long = (count: number) => "x".repeat(count);
      const wrong: Fields[] = [
        { instance: new Uint8Array(15) },
        { instance: "0123456789abcdef" },
        { node: long(257) },
        { role: long(33) },
        { codecs: Array.from({ length: 33 }, () => "x") },
        { codecs: [long(33)] },
        { features: Array.from({ length: 65 }, () => "x") },
        { maxChunkBytes: 1023 },
        { maxChunkBytes: 2n ** 53n },
        { connectionCredit: 2n ** 64n - 1n },
        { maxTransfers: new Raw(0x20) },
        { maxRequests: undefined },
        { token: long(1025) },
        { laneKey: new Uint8Array(17) },
        { maxLanes: "9" },
        { other: [[[[1]]]] },
      ];
      for (const fields of wrong) {
        const attack = await scene.connect();
        await attack.stranger.send(preamble(), hello(fields));
        await attack.cutOff(ProtocolError, /hello frame/);
      }
      const large = await scene.connect();
      await large.stranger.send(
        preamble(),
        frame(TYPE.hello, 0, undefined, 0, { payloadBytes: 8193 }),
      );
      await large.cutOff(ProtocolError, /hello frame of 8193 bytes; at most 8192/);
    }),
  );

  test(
    "hostile: whoever is not let in learns nothing, and nothing that it sent ahead is done",
    besideNeighbour(
      async (scene) => {
        for (const token of [undefined, "", "guess", "x".repeat(1024)]) {
          const attack = await scene.connect();
          const ahead = control(TYPE.request, 1, request(1, "small"));
          await attack.stranger.send(preamble(), hello({ token }), ahead);
          await attack.cutOff(UnauthorisedError, /token/);
          assert.isEmpty(attack.stranger.waiting(TYPE.hello));
          assert.isEmpty(attack.stranger.waiting(TYPE.tensor));
          assert.isEmpty(attack.peer.transfers);
        }
      },
      { authorise: (token) => token === "the token" },
    ),
  );

  test("hostile: a HELLO that does not come, or comes byte by byte, is waited for five seconds", async () => {
    const clock = new ManualClock();
    const body = besideNeighbour(
      async (scene) => {
        const attack = await scene.connect();
        const bytes = [...preamble(), ...hello()];
        for (const byte of bytes.slice(0, 9)) {
          await attack.stranger.send(Uint8Array.of(byte));
          await clock.advance(550);
        }
        assert.include(scene.host.peers, attack.peer);
        await clock.advance(50);
        await attack.endsWith(TransportError, /did not say HELLO within 5000 ms/);
        await attack.stranger.ended;
        assert.equal(attack.stranger.heardBytes, 0);
      },
      { clock },
    );
    await body();
    assert.equal(clock.pending, 0);
  });

  test(
    "hostile: of those who say nothing the oldest give way, and whoever has said HELLO stays",
    besideNeighbour(
      async (scene) => {
        const known = await scene.greeted();
        const silent = [];
        for (let n = 0; n < 60; n++) silent.push(await scene.connect());
        for (const attack of silent.slice(0, 52)) {
          const error = await attack.endsWith(LimitError, /More than 8 connections/);
          assert.instanceOf(error, HeadraceError);
        }
        assert.equal(scene.host.peers.length, 2 + 8);
        await known.stranger.settled();
        for (const attack of silent) attack.stranger.leave();
        while (scene.host.peers.length > 2) await turn();
      },
      {},
      8,
    ),
  );

  test(
    "hostile: an end within the preamble, HELLO or a frame is a fault of the link, however short",
    besideNeighbour(async (scene) => {
      const all = [...preamble(), ...hello(), ...control(TYPE.request, 1, request(1, "small"))];
      for (let cut = 0; cut < all.length; cut += 7) {
        const attack = await scene.connect();
        await attack.stranger.send(Uint8Array.from(all.slice(0, cut)));
        attack.stranger.leave();
        const error = await attack.endsWith(TransportError, /ended|left|closed/);
        assert.isTrue(error.retryable);
      }
    }),
  );
};
