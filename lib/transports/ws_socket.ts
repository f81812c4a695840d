import type { WebSocket } from "ws";
import type { MessageEvents, MessageSocket } from "./message_socket.ts";

/** A WebSocket of the package `ws`, as its server makes them. */
export class WsSocket implements MessageSocket {
  readonly remote: string;
  readonly #socket: WebSocket;

  constructor(socket: WebSocket, remote: string) {
    this.#socket = socket;
    this.remote = remote;
    socket.binaryType = "nodebuffer";
    // What it fails with is told when it closes.
    socket.on("error", () => {});
    socket.pause();
  }

  start({ message, closed }: MessageEvents): void {
    this.#socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (isBinary) message(ownBytes(data));
      else message(data.toString("utf8"));
    });
    this.#socket.on("close", (code: number, reason: Buffer) => closed(code, String(reason)));
    this.#socket.resume();
  }

  send(data: Uint8Array | string): Promise<void> {
    // A failure is told when the socket closes, which it does then.
    return new Promise((resolve) =>
      this.#socket.send(data, { binary: typeof data !== "string" }, () => resolve()),
    );
  }

  close(reset: boolean): void {
    if (reset) this.#socket.terminate();
    else this.#socket.close(1000);
  }
}

/** A small message is a view of all that one read brought: it is copied rather than that kept. */
function ownBytes(data: Buffer): Uint8Array {
  const { buffer, byteOffset, byteLength } = data;
  if (buffer.byteLength > 2 * byteLength) return new Uint8Array(data);
  return new Uint8Array(buffer, byteOffset, byteLength);
}
