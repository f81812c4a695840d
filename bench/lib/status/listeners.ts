// Those who look at a status, in a process of their own: they are no part of what is measured.
import { connect, createServer } from "node:net";
import { DASHBOARD_FILES } from "../../../lib/status/dashboard_files.ts";

/** A port that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? (address?.port ?? 0) : 0));
    });
  });
}

/** Asks for what a browser asks for that opens the page; its events are one more listener's. */
export async function openPage(port: number): Promise<void> {
  const files = Object.keys(DASHBOARD_FILES).map(async (path) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`${path} was answered with ${response.status}.`);
  });
  await Promise.all(files);
}

/** Opens so many listeners of events, of which the last never reads; returns what ends them. */
export function listenTo(port: number, count: number): () => number {
  let heardBytes = 0;
  const sockets = Array.from({ length: count }, (_, index) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.on("error", () => {});
    socket.write(`GET /api/events HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n\r\n`);
    if (index === count - 1) socket.pause();
    else {
      socket.on("data", (bytes: Uint8Array) => {
        heardBytes += bytes.byteLength;
      });
    }
    return socket;
  });
  return () => {
    for (const socket of sockets) socket.destroy();
    return heardBytes;
  };
}
