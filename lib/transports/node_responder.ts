import { type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { LimitError } from "../errors.ts";

/** What a request's body may take: none needs more than a few words. */
const MAX_BODY_BYTES = 64 * 1024;

/** Answers a request of `node:http` by a fetch-style handler, no faster than the client reads. */
export async function respond(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  secure: boolean,
  fetch: (request: Request) => Promise<Response>,
): Promise<void> {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(", ") : value);
  }
  const { method = "GET", url = "/" } = incoming;
  const origin = `${secure ? "https" : "http"}://${headers.get("host") ?? "localhost"}`;
  let response: Response;
  try {
    const body = await readBody(incoming);
    const isBodied = method !== "GET" && method !== "HEAD";
    const init = { method, headers, ...(isBodied && body.byteLength > 0 && { body }) };
    response = await fetch(new Request(new URL(url, origin), init));
  } catch {
    // A host that is none, or a path: nobody else's request is like that.
    response = new Response("This is not a request that can be answered\n", { status: 400 });
  }
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  if (response.body) await sendBody(response.body, outgoing);
  else outgoing.end();
}

/**
 * Answers a request that would rather speak another protocol than HTTP/1.1, as if it had not asked:
 * a server may stay with what it speaks. The connection ends with the answer.
 */
export async function respondWithoutUpgrade(
  incoming: IncomingMessage,
  socket: Socket,
  secure: boolean,
  fetch: (request: Request) => Promise<Response>,
): Promise<void> {
  const outgoing = new ServerResponse(incoming);
  outgoing.shouldKeepAlive = false;
  outgoing.assignSocket(socket);
  // Node's server has let go of the socket, and tells the response of it no more.
  socket.on("drain", () => outgoing.emit("drain"));
  // The server does not know of it any more, and would never close what the client leaves open.
  outgoing.once("finish", () => socket.destroySoon());
  await respond(incoming, outgoing, secure, fetch);
}

/** The whole body, which is read away even where it has no use, so that the connection can go on. */
async function readBody(incoming: IncomingMessage): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  let byteLength = 0;
  for await (const piece of incoming as AsyncIterable<Uint8Array>) {
    byteLength += piece.byteLength;
    if (byteLength > MAX_BODY_BYTES)
      throw new LimitError(`A body may take ${MAX_BODY_BYTES} bytes`);
    pieces.push(piece);
  }
  if (byteLength === 0) return new Uint8Array();
  return new Uint8Array(await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer());
}

async function sendBody(body: ReadableStream<Uint8Array>, outgoing: ServerResponse): Promise<void> {
  const reader = body.getReader();
  let goOn = () => {};
  // Told by events: a promise that every read is raced with would keep every piece that was read.
  outgoing.on("drain", () => goOn());
  outgoing.once("close", () => {
    reader.cancel().catch(() => {});
    goOn();
  });
  try {
    if (outgoing.destroyed) return await reader.cancel();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      if (outgoing.destroyed) return;
      if (outgoing.write(next.value)) continue;
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
    }
    if (!outgoing.destroyed) outgoing.end();
  } catch {
    // Fewer bytes than were promised: the client learns that it has not all.
    outgoing.destroy();
  }
}
