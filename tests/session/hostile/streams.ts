import { assert } from "chai";
import { ProtocolError } from "../../../lib/errors.ts";
import type { Suite } from "../../harness.ts";
import { checked, chunk, control, receipts, TYPE } from "./support/frames.ts";
import { EVERYTHING, idOf, offer, request } from "./support/messages.ts";
import { besideNeighbour } from "./support/scene.ts";
import { tensor } from "./support/small_frames.ts";

const FAULT = { code: "internal", retryable: false, message: "" };
const BEGINNERS: readonly number[] = [
  ...[TYPE.request, TYPE.offer, TYPE.tensor, TYPE.list, TYPE.subscribe, TYPE.requests],
];
const OF_CONNECTION: readonly number[] = [
  ...[TYPE.hello, TYPE.goodbye, TYPE.ping, TYPE.pong, TYPE.receipts, TYPE.lane],
];
const OTHERS = Object.values(TYPE).filter(
  (type) => !BEGINNERS.includes(type) && !OF_CONNECTION.includes(type) && type !== TYPE.chunk,
);

/** Whatever a stranger can begin, and what a peer of it begins. */
const beginsOn = (stream: number) => [
  control(TYPE.request, stream, request(stream, "small")),
  control(TYPE.offer, stream, offer(stream, "pushed", 1024)),
  control(TYPE.list, stream, { pattern: EVERYTHING, roots: false }),
  control(TYPE.subscribe, stream, { pattern: EVERYTHING, initial: false }),
  tensor(stream, new Uint8Array(1)),
];

export const hostileStreamsSuite: Suite = ({ test }) => {
  test(
    "hostile: nothing can be said on a number that nobody has begun",
    besideNeighbour((scene) => {
      const frames = [1, 2, 0xffffffff].flatMap((stream) => [
        ...OTHERS.map((type) => checked(type, stream, new Uint8Array(8))),
        control(TYPE.error, stream, FAULT),
        control(TYPE.cancel, stream, FAULT),
        chunk(stream, 0, new Uint8Array(1)),
      ]);
      return scene.refusesAll(frames, ProtocolError, /cannot begin with|did not begin/);
    }),
  );

  test(
    "hostile: numbers of the other end are not for beginning anything",
    besideNeighbour((scene) =>
      scene.refusesAll([...beginsOn(2), ...beginsOn(0xfffffffe)], ProtocolError, /did not begin/),
    ),
  );

  test(
    "hostile: a number that was used or left out counts as over, and is never used again",
    besideNeighbour(async (scene) => {
      const { stranger } = await scene.greeted();
      const asks = (stream: number) => control(TYPE.request, stream, request(stream, "small"));
      await stranger.send(asks(0xffffffff));
      await stranger.next(TYPE.tensor, 0xffffffff);
      await stranger.send(receipts([0xffffffff, 1]));
      for (const stream of [0xffffffff, 1, 0xfffffffd]) {
        await stranger.send(...beginsOn(stream), chunk(stream, 2 ** 40, new Uint8Array(9)));
        await stranger.send(
          control(TYPE.cancel, stream, FAULT),
          control(TYPE.error, stream, FAULT),
        );
      }
      await stranger.settled();
      assert.isEmpty([...stranger.waiting(TYPE.tensor), ...stranger.waiting(TYPE.error)]);
    }),
  );

  test(
    "hostile: a stream that is open is not begun again, and takes nothing of another kind",
    besideNeighbour(async (scene) => {
      const opened: [Uint8Array, readonly number[]][] = [
        [control(TYPE.request, 1, request(1, "bulk")), [0x14, 0x15, 0x19, 0x1f, 0x21, 0x23, 0x24]],
        [control(TYPE.offer, 1, offer(1, "pushed", 2 ** 20)), [0x12, 0x13, 0x16, 0x18, 0x1a, 0x21]],
        [control(TYPE.list, 1, { pattern: EVERYTHING, roots: true }), [0x12, 0x13, 0x1d, 0x1e]],
        [control(TYPE.subscribe, 1, { pattern: EVERYTHING, initial: false }), [0x13, 0x1d, 0x23]],
      ];
      for (const [bytes, types] of opened) {
        const again = [...beginsOn(1), ...types.map((type) => checked(type, 1, new Uint8Array(8)))];
        for (const frame of again) {
          const attack = await scene.greeted();
          await attack.stranger.send(bytes, frame);
          await attack.cutOff(ProtocolError, /The peer|cannot (take|hold|be)/);
        }
      }
    }),
  );

  test(
    "hostile: receipts are for tensors that came, on streams that were begun",
    besideNeighbour(async (scene) => {
      const never = [receipts([1, 1]), receipts([2, 1]), receipts([3, 1]), receipts([1, 2 ** 31])];
      await scene.refusesAll(never, ProtocolError, /was not begun/);
      const early = [
        control(TYPE.request, 1, request(1, "bulk")),
        control(TYPE.offer, 1, offer(2, "pushed", 1024)),
        control(TYPE.subscribe, 1, { pattern: EVERYTHING, initial: false }),
      ];
      for (const begins of early) {
        const attack = await scene.greeted();
        await attack.stranger.send(begins, receipts([1, 1]));
        await attack.cutOff(ProtocolError, /confirmed/);
      }
    }),
  );

  test(
    "hostile: a tensor that nobody asked for says where it belongs, and one that answers does not",
    besideNeighbour(async (scene) => {
      const data = new Uint8Array(8);
      const pushed = { id: idOf(1), names: ["m", "p", "x"] as const };
      const wrong = [tensor(1, data), tensor(1, new Uint8Array())];
      await scene.refusesAll(wrong, ProtocolError, /where it belongs/);
      for (const said of [{}, { push: pushed }]) {
        const attack = await scene.greeted();
        await attack.stranger.send(control(TYPE.request, 1, request(1, "bulk")));
        await attack.stranger.send(tensor(1, data, said));
        await attack.cutOff(ProtocolError, /nobody asked for/);
      }
    }),
  );
};
