// A web server that holds one safetensors file, and can be as strange as they come.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { encodeHeader } from "../../../lib/formats/safetensors/encode_header.ts";
import { createDescriptor } from "../../../lib/tensor/descriptor.ts";
import { randomBytes } from "../../cli/support/model.ts";

/** A file of these tensors, of bytes that do not repeat. */
export function safetensorsFile(lengths: Readonly<Record<string, number>>, seed = 1): Uint8Array {
  const { raw } = encodeHeader(
    Object.entries(lengths).map(([name, length]) => ({
      name,
      descriptor: createDescriptor("U8", [length]),
    })),
  );
  const total = Object.values(lengths).reduce((sum, length) => sum + length, 0);
  const file = new Uint8Array(raw.byteLength + total);
  file.set(raw);
  file.set(randomBytes(total, seed), raw.byteLength);
  return file;
}

/** What was asked, and how often that was. */
export interface Asked {
  readonly url: string;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly authorization: string | undefined;
  /** Counts from 0. */
  readonly count: number;
}

/** How a server answers; everything may change between two requests. */
export interface WebFile {
  bytes: Uint8Array;
  etag?: string | undefined;
  lastModified?: string;
  /** Default true. */
  hasRanges?: boolean;
  /** Answers in place of the server; `true` when it did. */
  answer?: (asked: Asked, outgoing: ServerResponse, incoming: IncomingMessage) => boolean;
  /** Changes the headers of an answer, or its bytes. */
  meddle?: (asked: Asked, answer: WebAnswer) => void;
}

/** An answer that is about to be sent. */
export interface WebAnswer {
  status: number;
  headers: Record<string, string>;
  body: Uint8Array;
  /** Ends the link after so many bytes of the body, and not before `cutWhen`. */
  cutAfter?: number;
  /** A server may drop what it has not sent when it cuts: the end that reads says when. */
  cutWhen?: Promise<void>;
}

/** Serves it until closed. */
export class WebServer {
  readonly file: WebFile;
  readonly asked: Asked[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(file: WebFile) {
    this.file = file;
    this.#server = createServer((incoming, outgoing) => this.#respond(incoming, outgoing));
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {});
    });
  }

  static async open(file: WebFile): Promise<WebServer> {
    const server = new WebServer(file);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `${this.origin}/models/tiny.safetensors`;
  }

  get ranges(): (string | undefined)[] {
    return this.asked.map(({ range }) => range);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #respond(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { range, "if-range": ifRange, authorization } = incoming.headers;
    const asked: Asked = {
      url: incoming.url ?? "",
      range,
      ifRange: ifRange as string | undefined,
      authorization,
      count: this.asked.length,
    };
    this.asked.push(asked);
    outgoing.on("error", () => {});
    if (this.file.answer?.(asked, outgoing, incoming)) return;
    const answer = this.#answerTo(asked);
    this.file.meddle?.(asked, answer);
    send(answer, outgoing);
  }

  #answerTo({ range, ifRange }: Asked): WebAnswer {
    const { bytes, etag, lastModified, hasRanges = true } = this.file;
    const headers: Record<string, string> = {
      ...(etag !== undefined && { etag }),
      ...(lastModified !== undefined && { "last-modified": lastModified }),
    };
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
    const isPart = hasRanges && first !== undefined && (ifRange === undefined || ifRange === etag);
    if (!isPart) {
      headers["content-length"] = `${bytes.byteLength}`;
      return { status: 200, headers, body: bytes };
    }
    const from = Number(first);
    const end = Math.min(Number(last) + 1, bytes.byteLength);
    headers["content-range"] = `bytes ${from}-${end - 1}/${bytes.byteLength}`;
    headers["content-length"] = `${end - from}`;
    return { status: 206, headers, body: bytes.subarray(from, end) };
  }
}

function send(
  { status, headers, body, cutAfter, cutWhen }: WebAnswer,
  outgoing: ServerResponse,
): void {
  outgoing.writeHead(status, headers);
  if (cutAfter === undefined) {
    outgoing.end(body);
    return;
  }
  outgoing.write(body.subarray(0, cutAfter), async () => {
    await cutWhen;
    outgoing.destroy();
  });
}

/** Runs `body` with a server of this file. */
export async function withWebServer(
  file: WebFile,
  body: (server: WebServer) => Promise<void>,
): Promise<void> {
  const server = await WebServer.open(file);
  try {
    await body(server);
  } finally {
    await server.close();
  }
}

/** Encodes an answer's body by gzip, whatever was asked for. */
export function gzip(answer: WebAnswer): void {
  answer.body = new Uint8Array(gzipSync(answer.body));
  answer.headers["content-encoding"] = "gzip";
  answer.headers["content-length"] = `${answer.body.byteLength}`;
}
