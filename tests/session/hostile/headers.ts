import { ProtocolError, TransportError } from "../../../lib/errors.ts";
import { DEFAULT_LIMITS } from "../../../lib/limits.ts";
import type { Suite } from "../../harness.ts";
import { cbor, join } from "./support/cbor.ts";
import { chunk, control, frame, le, number, TYPE } from "./support/frames.ts";
import { request } from "./support/messages.ts";
import { besideNeighbour, type Scene } from "./support/scene.ts";
import { tensor } from "./support/small_frames.ts";

/** Types whose payload is CBOR. */
const CONTROL: readonly number[] = [
  ...[TYPE.hello, TYPE.goodbye, TYPE.error, TYPE.request, TYPE.offer, TYPE.accept, TYPE.complete],
  ...[TYPE.receipt, TYPE.cancel, TYPE.phase, TYPE.reprioritise, TYPE.pause, TYPE.list],
  ...[TYPE.subscribe, TYPE.notify, TYPE.unsubscribe, TYPE.extent, TYPE.lane],
];
const OF_CONNECTION: readonly number[] = [
  ...[TYPE.hello, TYPE.goodbye, TYPE.ping, TYPE.pong, TYPE.receipts, TYPE.lane],
];
const FLAGS = new Map<number, number>([
  [TYPE.have, 0x03],
  [TYPE.digests, 0x03],
  [TYPE.listing, 0x01],
  [TYPE.chunk, 0x04],
]);
const streamOf = (type: number) => (OF_CONNECTION.includes(type) ? 0 : 1);

function capOf(type: number, limits = DEFAULT_LIMITS): number {
  if (type === TYPE.chunk) return 32 + limits.maxChunkBytes;
  if (type === TYPE.tensor) return 4096 + 65_536;
  return CONTROL.includes(type) ? limits.maxControlBytes : limits.maxPageBytes;
}

/** Only the header is sent, so that nothing but what it says can be what is refused. */
function* oversized(limits = DEFAULT_LIMITS): Generator<Uint8Array> {
  for (const type of [...Object.values(TYPE), 0x80, 0xff]) {
    const payloadBytes = capOf(type, limits) + 1;
    yield frame(type, streamOf(type), undefined, 0, { payloadBytes });
  }
  yield frame(TYPE.chunk, 1, undefined, 0, { payloadBytes: 0xffffffff });
  yield frame(TYPE.tensor, 1, undefined, 0, { payloadBytes: 0xffffffff });
}

function* misshapen(): Generator<Uint8Array> {
  for (const type of [0x00, 0x06, 0x0f, 0x29, 0x31, 0x7f]) yield frame(type, 1);
  for (const type of Object.values(TYPE)) {
    const flags = FLAGS.get(type) ?? 0;
    for (const flag of [0x04, 0x80]) {
      if ((flags & flag) === 0) yield frame(type, streamOf(type), undefined, flag);
    }
    yield frame(type, streamOf(type), undefined, 0, { reserved: 0x8000 });
    const isAny = type === TYPE.error || type === TYPE.credit;
    if (!isAny) yield frame(type, 1 - streamOf(type));
  }
}

/** The link is given up without a word: what is damaged may be anything. */
async function givesUp(scene: Scene, bytes: Uint8Array): Promise<void> {
  const attack = await scene.greeted();
  const told = attack.stranger.waiting(TYPE.error).length;
  await attack.stranger.send(bytes);
  await attack.endsWith(TransportError, /check/);
  await attack.stranger.ended;
  if (attack.stranger.waiting(TYPE.error).length > told) throw new Error("It was told why");
}

export const hostileHeadersSuite: Suite = ({ test }) => {
  test(
    "hostile: a payload beyond its type's cap is refused at its header, before a byte of it comes",
    besideNeighbour((scene) =>
      scene.refusesAll(oversized(), ProtocolError, /at most \d+ are taken/),
    ),
  );

  const lower = { maxControlBytes: 4096, maxPageBytes: 16_384, maxChunkBytes: 2 ** 20 };
  test(
    "hostile: caps that were lowered hold as well",
    besideNeighbour(
      (scene) => {
        const frames = oversized({ ...DEFAULT_LIMITS, ...lower });
        return scene.refusesAll(frames, ProtocolError, /at most \d+ are taken/);
      },
      { limits: lower },
    ),
  );

  test(
    "hostile: types, flags, reserved bits and streams that cannot be are refused",
    besideNeighbour((scene) =>
      scene.refusesAll(misshapen(), ProtocolError, /unknown type|reserved bits|on stream/),
    ),
  );

  test(
    "hostile: what fails its check is not believed, and not answered either",
    besideNeighbour(async (scene) => {
      const whole = [
        number(TYPE.ping, 0, 1),
        control(TYPE.request, 1, request(1, "small")),
        chunk(1, 0, new Uint8Array(40)),
        tensor(1, new Uint8Array(40)),
      ];
      for (const bytes of whole) {
        // In the header, and in what comes first behind it.
        for (const at of [9, 14, 17]) {
          const damaged = bytes.slice();
          damaged[at] = (damaged[at] ?? 0) ^ 0x40;
          await givesUp(scene, damaged);
        }
      }
      // A check that is right of a length that is wrong: the payload's own no longer fits.
      const body = cbor(request(1, "small"));
      await givesUp(scene, frame(TYPE.request, 1, join(body, le(4, 0))));
    }),
  );

  test(
    "hostile: payloads without a place for their check are refused",
    besideNeighbour((scene) => {
      const types = Object.values(TYPE).filter(
        (type) => type !== TYPE.chunk && type !== TYPE.tensor,
      );
      const short = types.flatMap((type) =>
        [0, 3].map((bytes) => frame(type, streamOf(type), new Uint8Array(bytes))),
      );
      const chunks = [0, 31, 32].map((bytes) => frame(TYPE.chunk, 1, new Uint8Array(bytes)));
      const tensors = [0, 27].map((bytes) => frame(TYPE.tensor, 1, new Uint8Array(bytes)));
      const all = [...short, ...chunks, ...tensors];
      return scene.refusesAll(
        all,
        ProtocolError,
        /check|begin with|chunk frame|of \d+ bytes|lane frame/,
      );
    }),
  );
};
