import { ProtocolError } from "../../../lib/errors.ts";
import type { Suite } from "../../harness.ts";
import { join } from "./support/cbor.ts";
import { checked, control, le, number, receipts, TYPE } from "./support/frames.ts";
import { EVERYTHING, idOf, request } from "./support/messages.ts";
import { besideNeighbour } from "./support/scene.ts";
import { type Names, requests, type TensorSaid, tensor } from "./support/small_frames.ts";

const SMALL: Names = ["m", "p", "small"];
const bytes = (...all: readonly number[]) => Uint8Array.from(all);
const zeros = (count: number) => new Uint8Array(count);
const list = (...parts: readonly Uint8Array[]) => checked(TYPE.requests, 1, join(...parts));

export const hostilePagesSuite: Suite = ({ test }) => {
  test(
    "hostile: request lists that lie about their entries are refused",
    besideNeighbour((scene) => {
      const entry = join(le(2, 1), le(2, 1), le(2, 1), bytes(0x61, 0x62, 0x63));
      const again = join(le(2, 0xffff), le(2, 1), bytes(0x64));
      const head = (count: number, mode = 1) => join(bytes(mode, 50), le(2, count));
      const wrong = [
        list(),
        list(bytes(1, 50, 1)),
        list(head(0)),
        list(head(0), entry),
        list(head(1, 2), entry),
        list(head(2), entry),
        list(head(0xffff), entry),
        list(head(1), entry, bytes(0)),
        list(head(1), again),
        list(head(1), le(2, 1024), le(2, 1), le(2, 1), zeros(10)),
        list(head(1), le(2, 0xfffe), le(2, 0xffff), le(2, 0xffff), zeros(60_000)),
        list(head(1), le(2, 1), le(2, 1), le(2, 2), bytes(0x61, 0x62, 0xc3, 0x28)),
        list(head(1), le(2, 0), le(2, 1), le(2, 1), bytes(0x61, 0x62)),
        list(head(2), entry, le(2, 0xffff), le(2, 0)),
        requests(1, [["m", "p", "x".repeat(1025)]]),
        // The last entry's stream would be beyond all numbers.
        requests(0xffffffff, [SMALL, SMALL]),
      ];
      return scene.refusesAll(wrong, ProtocolError, /list|name/);
    }),
  );

  test(
    "hostile: tensors in one frame that lie about themselves are refused",
    besideNeighbour((scene) => {
      const push = { id: idOf(1), names: ["m", "p", "pushed"] as const };
      const said: (TensorSaid & { readonly data?: Uint8Array })[] = [
        { dtype: 0 },
        { dtype: 255 },
        { shape: new Array(33).fill(1) },
        { shape: [9] },
        { shape: [2n ** 63n] },
        { shape: [2 ** 52, 2 ** 52] },
        { version: zeros(33) },
        { bits: 0x06 },
        { bits: 0x00 },
        { byteLength: 9 },
        { byteLength: 0xffffffff, shape: [0xffffffff] },
        { data: zeros(65_537) },
        { dataBytes: 7 },
        { dataBytes: 0xffffffff },
        { codec: 1 },
        { codec: 1, byteLength: 65_537, shape: [65_537] },
        { push: { ...push, names: ["", "p", "x"] } },
        { push: { ...push, names: ["m", "p", "x".repeat(1025)] } },
        { push: { ...push, epoch: 2 ** 53 } },
      ];
      const frames = said.map(({ data = zeros(8), ...rest }) =>
        tensor(1, data, { digest: zeros(32), push, ...rest }),
      );
      return scene.refusesAll(frames, ProtocolError, /tensor/);
    }),
  );

  test(
    "hostile: a tensor whose head leaves no place for its check is given up as damage",
    besideNeighbour(async (scene) => {
      for (const headBytes of [0, 27, 37, 4097, 0xffffffff]) {
        const attack = await scene.greeted();
        await attack.stranger.send(tensor(1, zeros(8), { headBytes }));
        const error = await attack.ended;
        if (!/check of its head|head/.test(String(error))) throw error;
      }
    }),
  );

  test(
    "hostile: numbers, receipts and patterns that cannot be are refused",
    besideNeighbour((scene) => {
      const pattern = (fields: object) =>
        control(TYPE.list, 1, { pattern: { ...EVERYTHING, ...fields }, roots: false });
      const wrong = [
        checked(TYPE.ping, 0, zeros(7)),
        checked(TYPE.ping, 0, zeros(9)),
        number(TYPE.ping, 0, 2n ** 53n),
        number(TYPE.pong, 0, 2n ** 64n - 1n),
        number(TYPE.credit, 0, 2n ** 53n),
        checked(TYPE.credit, 0, zeros(0)),
        receipts(),
        receipts([0, 1]),
        receipts([1, 0]),
        receipts([0xffffffff, 2]),
        receipts([1, 0xffffffff]),
        checked(TYPE.receipts, 0, zeros(12)),
        pattern({ model: "" }),
        pattern({ model: "x".repeat(3073) }),
        pattern({ model: "%" }),
        pattern({ model: "a/b" }),
        pattern({ model: "%ff" }),
        control(TYPE.list, 1, { pattern: EVERYTHING, roots: 1 }),
        control(TYPE.subscribe, 1, { pattern: EVERYTHING }),
        control(TYPE.lane, 0, { lane: 1, key: idOf(1) }),
        control(TYPE.request, 1, request(1, "small", { rows: [0, 1], bytes: [0, 1] })),
      ];
      return scene.refusesAll(wrong, ProtocolError, /The peer (sent|confirmed)/);
    }),
  );
};
