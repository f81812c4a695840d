import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { sha256Hex } from "../sha256_hex.ts";
import { type Part, say } from "../two_processes.ts";
import { BULKS, bulkUnit, itemOf, PIECE_BYTES, UNIT_BYTES } from "./items.ts";
import type { ItemName, Mover, Way } from "./mover.ts";

const KiB = 1024;
/**
 * Four times the defaults. Those reach a fifth of the speed; windows larger than this add nothing to
 * it on loopback, and what is urgent then waits behind more.
 */
const SETTINGS = { initialWindowSize: 256 * KiB, maxFrameSize: 64 * KiB };
const SESSION_WINDOW_BYTES = 32 * 1024 * KiB;

/** One HTTP/2 connection with enlarged windows and frames, a stream for each thing. */
export function http2Way(digestBulk: boolean): Way {
  return {
    serve: (part) => serve(part, digestBulk),
    join: (part) => join(part, digestBulk),
  };
}

async function serve(part: Part, digestBulk: boolean): Promise<void> {
  const unit = bulkUnit();
  const urgentBytes = part.settings?.urgentBytes ?? 0;
  const items: Record<string, Uint8Array> = {
    "/urgent": itemOf("urgent", urgentBytes),
    "/sample": itemOf("sample", urgentBytes),
  };
  const server = createServer({ settings: SETTINGS });
  server.on("session", (session: ServerHttp2Session) => {
    session.setLocalWindowSize(SESSION_WINDOW_BYTES);
    session.on("error", () => {});
    session.once("close", () => server.close());
  });
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    const item = items[headers[":path"] ?? ""];
    stream.on("error", () => {});
    stream.respond({ ":status": 200 });
    if (item !== undefined) stream.end(item);
    else writeBulk(stream, unit, digestBulk);
  });
  server.listen(0, part.host, () => {
    const address = server.address();
    say(String(typeof address === "object" ? address?.port : address));
  });
  await once(server, "close");
}

async function writeBulk(stream: ServerHttp2Stream, unit: Uint8Array, digests: boolean) {
  const hash = digests ? createHash("sha256") : undefined;
  for (let at = 0; !stream.destroyed; at = (at + PIECE_BYTES) % UNIT_BYTES) {
    const piece = unit.subarray(at, at + PIECE_BYTES);
    hash?.update(piece);
    if (!(await new Promise((resolve) => stream.write(piece, (error) => resolve(!error))))) return;
  }
}

async function join(part: Part, digestBulk: boolean): Promise<Mover> {
  const session = connect(`http://${part.host}:${part.port}`, { settings: SETTINGS });
  await once(session, "remoteSettings");
  session.setLocalWindowSize(SESSION_WINDOW_BYTES);
  let receivedBytes = 0;
  const open = (name: string): ClientHttp2Stream => {
    const stream = session.request({ ":path": `/${name}` });
    stream.on("data", (bytes: Uint8Array) => {
      receivedBytes += bytes.byteLength;
    });
    return stream;
  };
  return {
    async get(name: ItemName) {
      const pieces: Uint8Array[] = [];
      const stream = open(name);
      stream.on("data", (bytes: Uint8Array) => pieces.push(bytes));
      await once(stream, "end");
      const item = Buffer.concat(pieces);
      sha256Hex(item);
      return item;
    },
    async startBulk() {
      const streams = Array.from({ length: BULKS }, () => startOne(open("bulk"), digestBulk));
      return async () => {
        for (const stream of streams) stream.destroy();
      };
    },
    receivedBytes: () => receivedBytes,
    close: () => leave(session),
  };
}

function startOne(stream: ClientHttp2Stream, digests: boolean): ClientHttp2Stream {
  const hash = digests ? createHash("sha256") : undefined;
  stream.on("error", () => {});
  stream.on("data", (bytes: Uint8Array) => hash?.update(bytes));
  return stream;
}

async function leave(session: ClientHttp2Session): Promise<void> {
  session.destroy();
}
