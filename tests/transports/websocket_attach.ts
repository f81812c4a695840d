import { once } from "node:events";
import { createServer, get, type IncomingMessage } from "node:http";
import { assert } from "chai";
import { SUBPROTOCOL } from "../../lib/transports/message_socket.ts";
import { attach, connect } from "../../lib/transports/websocket_node.ts";
import type { Harness, Suite } from "../harness.ts";
import { listenerConformance } from "./conformance.ts";

/** A server of the application's own, for as long as the body runs. */
async function withServer(body: (server: ReturnType<typeof createServer>) => Promise<void>) {
  const server = createServer((_, response) => response.end("own page"));
  await once(server.listen(0, "127.0.0.1"), "listening");
  try {
    await body(server);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** The status with which a request for a WebSocket is answered. */
async function statusOf(url: string, headers: Record<string, string> = {}): Promise<number> {
  const upgrade = {
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol": SUBPROTOCOL,
  };
  const request = get(url.replace("ws:", "http:"), {
    headers: { ...upgrade, ...headers },
    agent: false,
  });
  const answered = Promise.race([once(request, "response"), once(request, "upgrade")]);
  const [response] = (await answered) as [IncomingMessage];
  response.destroy();
  request.destroy();
  return response.statusCode ?? 0;
}

export const webSocketAttachSuite: Suite = (harness) => {
  const { test, runtime } = harness;
  if (!runtime.startsWith("node")) return;
  const here: Harness = {
    ...harness,
    test: (name, body) => test(`${name} (node only)`, body),
  };
  listenerConformance(here, "websocket, attached", {
    listen: async () => {
      const server = createServer((_, response) => response.writeHead(404).end());
      await once(server.listen(0, "127.0.0.1"), "listening");
      const listener = attach(server);
      const { connections } = listener;
      const close = async () => {
        await listener.close();
        server.close();
      };
      return { url: listener.url, connections, close };
    },
    connect: (url, signal) => connect(url, { signal }),
  });
  test("websocket: attached to a server, takes its path and leaves the rest to it (node only)", () =>
    withServer(async (server) => {
      const errors: Error[] = [];
      const listener = attach(server, { path: "/peers", onError: (error) => errors.push(error) });
      const [near, { value: far }] = await Promise.all([
        connect(listener.url),
        listener.connections.getReader().read(),
      ]);
      const page = listener.url.replace("ws:", "http:");
      assert.equal(await (await fetch(page)).text(), "own page");
      const elsewhere = listener.url.replace("/peers", "/chat");
      assert.equal(await statusOf(elsewhere), 404);
      assert.equal(await statusOf(listener.url, { Origin: "https://evil.example" }), 403);
      assert.lengthOf(errors, 2);
      server.on("upgrade", ({ url }, socket) => {
        if (url === "/chat") socket.end("HTTP/1.1 418 Teapot\r\nConnection: close\r\n\r\n");
      });
      assert.equal(await statusOf(elsewhere), 418);

      await listener.close();
      assert.equal(await (await fetch(page)).text(), "own page");
      assert.equal(server.listenerCount("upgrade"), 1);
      // What was taken before goes on.
      await near.writable.getWriter().write(Uint8Array.of(7));
      assert.deepEqual((await far?.readable.getReader().read())?.value, Uint8Array.of(7));
      near.close();
    }));

  test("websocket: attached to a server twice, refuses once what neither takes (node only)", () =>
    withServer(async (server) => {
      const errors: Error[] = [];
      const onError = (error: Error) => errors.push(error);
      const [a, b] = ["/a", "/b"].map((path) => attach(server, { path, onError }));
      for (const listener of [a, b]) (await connect(listener?.url ?? "")).close();
      const elsewhere = (a?.url ?? "").replace("/a", "/c");
      assert.equal(await statusOf(elsewhere), 404);
      assert.match(
        errors.map(({ message }) => message).join(),
        /^[^,]*peers are met at \/a and \/b$/,
      );
      await a?.close();
      assert.equal(await statusOf(elsewhere), 404);
      await b?.close();
    }));

  test("websocket: attached to a server, ends with it or by its signal (node only)", async () => {
    const stop = new AbortController();
    await withServer(async (server) => {
      const [first, second] = [attach(server), attach(server, { signal: stop.signal, path: "/b" })];
      stop.abort(new Error("not now"));
      assert.isTrue((await second.connections.getReader().read()).done);
      await new Promise((resolve) => server.close(resolve));
      assert.isTrue((await first.connections.getReader().read()).done);
      assert.throws(() => attach(server, { signal: stop.signal }), /not now/);
      assert.throws(() => attach(server, { path: "b" }), TypeError, /begins with a slash/);
      assert.equal(server.listenerCount("upgrade"), 0);
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
    });
  });
};
