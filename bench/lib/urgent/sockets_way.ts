import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { sha256Hex } from "../sha256_hex.ts";
import { type Part, say } from "../two_processes.ts";
import { bulkUnit, itemOf, PIECE_BYTES, UNIT_BYTES } from "./items.ts";
import type { ItemName, Mover, Way } from "./mover.ts";

/** What a client can ask for, in a byte. */
const ASK: Record<ItemName | "bulk", number> = { urgent: 1, sample: 2, bulk: 3 };

/** Bare sockets: one that the bulk saturates, and a second one for what is urgent. */
export function socketsWay(digestBulk: boolean): Way {
  return {
    serve: (part) => serve(part, digestBulk),
    join: (part) => join(part, digestBulk),
  };
}

async function serve(part: Part, digestBulk: boolean): Promise<void> {
  const unit = bulkUnit();
  const urgentBytes = part.settings?.urgentBytes ?? 0;
  const urgent = itemOf("urgent", urgentBytes);
  const sample = itemOf("sample", urgentBytes);
  let open = 0;
  const server = createServer((socket) => {
    open++;
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.once("close", () => {
      if (--open === 0) server.close();
    });
    socket.on("data", (asked: Uint8Array) => {
      for (const ask of asked) {
        if (ask === ASK.bulk) writeBulk(socket, unit, digestBulk);
        else socket.write(ask === ASK.urgent ? urgent : sample);
      }
    });
  });
  server.listen(0, part.host, () => {
    const address = server.address();
    say(String(typeof address === "object" ? address?.port : address));
  });
  await once(server, "close");
}

async function writeBulk(socket: Socket, unit: Uint8Array, digests: boolean): Promise<void> {
  const hash = digests ? createHash("sha256") : undefined;
  for (let at = 0; !socket.destroyed; at = (at + PIECE_BYTES) % UNIT_BYTES) {
    const piece = unit.subarray(at, at + PIECE_BYTES);
    hash?.update(piece);
    if (!(await new Promise((resolve) => socket.write(piece, (error) => resolve(!error))))) return;
  }
}

async function join(part: Part, digestBulk: boolean): Promise<Mover> {
  const { host = "", port = 0, settings } = part;
  const [bulk, own] = [connect({ host, port }), connect({ host, port })];
  await Promise.all([once(bulk, "connect"), once(own, "connect")]);
  const hash = digestBulk ? createHash("sha256") : undefined;
  let bulkBytes = 0;
  bulk.on("error", () => {});
  bulk.on("data", (bytes: Uint8Array) => {
    hash?.update(bytes);
    bulkBytes += bytes.byteLength;
  });
  const itemBytes = { urgent: settings?.urgentBytes ?? 0, sample: itemOf("sample", 0).byteLength };
  let itemBytesBefore = 0;
  own.setNoDelay(true);
  return {
    async get(name) {
      const item = new Uint8Array(itemBytes[name]);
      own.write(Uint8Array.of(ASK[name]));
      await fill(own, item);
      itemBytesBefore += item.byteLength;
      sha256Hex(item);
      return item;
    },
    async startBulk() {
      bulk.write(Uint8Array.of(ASK.bulk));
      return async () => void bulk.destroy();
    },
    receivedBytes: () => bulkBytes + itemBytesBefore,
    async close() {
      bulk.destroy();
      own.destroy();
    },
  };
}

function fill(socket: Socket, item: Uint8Array): Promise<void> {
  let filledBytes = 0;
  return new Promise((resolve) => {
    const take = (bytes: Uint8Array) => {
      item.set(bytes, filledBytes);
      filledBytes += bytes.byteLength;
      if (filledBytes < item.byteLength) return;
      socket.off("data", take);
      resolve();
    };
    socket.on("data", take);
  });
}
