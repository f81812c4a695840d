import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { rawSocket } from "../transfer.ts";
import type { Part } from "../two_processes.ts";
import { ITEM_BYTES, indexOf, itemsOf, NAME_BYTES, nameOf } from "./items.ts";
import type { SmallWay, TakeItem } from "./way.ts";

/** A name and a length before each item. */
const HEAD_BYTES: number = NAME_BYTES + 4;

/** A bare socket down which all items go, once it is asked for any, without waiting for anything. */
export function socketsWay(verifies: boolean): SmallWay {
  return {
    canRepeat: false,
    serve,
    async join(part) {
      const socket = await rawSocket(part);
      return {
        getAll: (count, take) => readAll(socket, count, verifies, take),
        async leave() {
          socket.destroy();
        },
      };
    },
  };
}

async function serve(part: Part, count: number): Promise<void> {
  const socket = await rawSocket(part);
  const itemAt = itemsOf(count);
  const encoder = new TextEncoder();
  const over = new Promise((resolve) => socket.once("close", resolve));
  await new Promise((resolve) => socket.once("data", resolve));
  for (let index = 0; index < count; index++) {
    const head = new Uint8Array(HEAD_BYTES);
    encoder.encodeInto(nameOf(index), head);
    new DataView(head.buffer).setUint32(NAME_BYTES, ITEM_BYTES, true);
    socket.cork();
    socket.write(head);
    const hasRoom = socket.write(itemAt(index));
    process.nextTick(() => socket.uncork());
    if (!hasRoom) await new Promise((resolve) => socket.once("drain", resolve));
  }
  await over;
}

function readAll(socket: Socket, count: number, verifies: boolean, take: TakeItem): Promise<void> {
  const whole = new Uint8Array(HEAD_BYTES + ITEM_BYTES);
  const decoder = new TextDecoder();
  let gatheredBytes = 0;
  let items = 0;
  const takeWhole = () => {
    const bytes = whole.subarray(HEAD_BYTES);
    if (verifies) createHash("sha256").update(bytes).digest();
    take(indexOf(decoder.decode(whole.subarray(0, NAME_BYTES))), bytes);
  };
  return new Promise((resolve) => {
    socket.on("data", (bytes: Uint8Array) => {
      for (let at = 0; at < bytes.byteLength; ) {
        const piece = bytes.subarray(at, at + whole.byteLength - gatheredBytes);
        whole.set(piece, gatheredBytes);
        gatheredBytes += piece.byteLength;
        at += piece.byteLength;
        if (gatheredBytes < whole.byteLength) continue;
        gatheredBytes = 0;
        takeWhole();
        if (++items === count) resolve();
      }
    });
    socket.write("go");
  });
}
