import { once } from "node:events";
import { type AddressInfo, createConnection } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { assert } from "chai";
import { WebSocket as NodeWebSocket, WebSocketServer } from "ws";
import type { Connection, Listener } from "../../lib/connection.ts";
import { ProtocolError, TransportError } from "../../lib/errors.ts";
import { PeerHost } from "../../lib/session/host.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { MESSAGE_WINDOW_BYTES } from "../../lib/transports/message_link.ts";
import { MOST_MESSAGE_BYTES, SUBPROTOCOL } from "../../lib/transports/message_socket.ts";
import type { WebSocketConstructor } from "../../lib/transports/websocket.ts";
import * as node from "../../lib/transports/websocket_node.ts";
import type { Harness, Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { tcpAdapterOf } from "./adapter.ts";
import { makeCertificate } from "./certificate.ts";
import {
  listenerConformance,
  type Pair,
  quiet,
  rejection,
  transportConformance,
  turn,
} from "./conformance.ts";
import { type WebSocketAdapter, webSocketAdapterOf } from "./websocket_adapter.ts";

const MiB = 1024 * 1024;
const URL_HERE = "ws://127.0.0.1:0";

export const webSocketSuite: Suite = (harness) => {
  const adapter = webSocketAdapterOf(harness.runtime);
  const open = () => openPair(adapter);
  transportConformance(harness, "websocket", open, { reset: true });
  const swapped = async (): Promise<Pair> => {
    const [near, far] = await open();
    return [far, near];
  };
  transportConformance(harness, "websocket, accepted end first", swapped, { reset: true });
  listenerConformance(harness, "websocket", {
    listen: () => adapter.listen(URL_HERE),
    connect: (url, signal) => adapter.connect(url, { signal }),
  });
  session(harness, adapter);
  hostility(harness, adapter);
  listening(harness, adapter);
  trust(harness, adapter);
};

/** A listener, for as long as the body runs. */
async function withListener(
  adapter: WebSocketAdapter,
  body: (listener: Listener, errors: Error[]) => Promise<void>,
  options: Parameters<WebSocketAdapter["listen"]>[1] = {},
): Promise<void> {
  const errors: Error[] = [];
  const onError = (error: Error) => errors.push(error);
  const listener = await adapter.listen(URL_HERE, { ...options, onError });
  try {
    await body(listener, errors);
  } finally {
    await listener.close();
  }
}

async function openPair(adapter: WebSocketAdapter): Promise<Pair> {
  const listener = await adapter.listen(URL_HERE);
  const taking = listener.connections.getReader();
  const [near, { value: far }] = await Promise.all([adapter.connect(listener.url), taking.read()]);
  await listener.close();
  return [near, far as Connection];
}

function session({ test }: Harness, adapter: WebSocketAdapter): void {
  test("websocket: a request without a key that would be a WebSocket is refused by 400", async () => {
    await withListener(adapter, async (listener) => {
      const { hostname, port } = new URL(listener.url);
      const socket = createConnection({ host: hostname, port: Number(port) });
      const lines = ["GET / HTTP/1.1", `Host: ${hostname}`, "Connection: Upgrade"];
      lines.push("Upgrade: websocket", "Sec-WebSocket-Version: 13");
      socket.write([...lines, `Sec-WebSocket-Protocol: ${SUBPROTOCOL}`, "", ""].join("\r\n"));
      const [answer] = (await once(socket, "data")) as [Buffer];
      socket.destroy();
      assert.match(answer.toString(), /^HTTP\/1\.1 400 /);
    });
  });

  test("websocket: a closed listener answers no plain request, though a connection goes on", async () => {
    const listener = await adapter.listen(URL_HERE, { fetch: async () => new Response("here") });
    const page = listener.url.replace("ws:", "http:");
    const taken = listener.connections.getReader().read();
    const near = await adapter.connect(listener.url);
    const { value: far } = await taken;
    assert.equal(await (await fetch(page)).text(), "here");
    await listener.close();
    const text = await fetch(page).then(
      (response) => response.text(),
      () => "refused",
    );
    assert.notInclude(text, "here");
    await carriesBytes(near, far);
  });

  test("websocket: a session moves tensors both ways, and resumes after a cut", async () => {
    await withListener(adapter, async (listener) => {
      const address = { model: "m", partition: "p", tensor: "w" };
      const bytes = patterned(24 * MiB + 77);
      const [store, sinks] = [new MemoryStore(), new MemoryStore()];
      store.set(address, bytes);
      const host = new PeerHost(listener.connections, { peer: () => ({ store, sinks }) });
      const client = new TensorPeer((signal) => adapter.connect(listener.url, { signal }), {
        retry: { baseDelayMs: 1 },
      });
      const pull = client.requestTensor(address, { into: "memory" });
      while (pull.progress.bytes < 4 * MiB) await new Promise((resolve) => setTimeout(resolve, 1));
      client.disconnect();
      assert.isTrue(sameBytes(await pull.bytes(), bytes));
      assert.equal(pull.verified, "root");
      assert.isBelow(client.receivedBytes, 44 * MiB);
      await client.streamTensor({ ...address, tensor: "x" }, bytes).done;
      assert.isTrue(sameBytes(sinks.get({ ...address, tensor: "x" })?.bytes as Uint8Array, bytes));
      await client.close();
      await host.close();
    });
  });
}

function hostility({ test, runtime }: Harness, adapter: WebSocketAdapter): void {
  test("websocket: who sends more than its window is cut off, and no more than that is held", async () => {
    await withListener(adapter, async (listener) => {
      const Plain =
        runtime === "node20" ? (NodeWebSocket as unknown as typeof WebSocket) : WebSocket;
      const socket = new Plain(listener.url, SUBPROTOCOL);
      await new Promise((resolve) => socket.addEventListener("open", resolve));
      const { value: accepted } = await listener.connections.getReader().read();
      let sentBytes = 0;
      const message = new Uint8Array(65_536);
      let isOver = false;
      socket.addEventListener("close", () => {
        isOver = true;
      });
      while (sentBytes < 4 * MESSAGE_WINDOW_BYTES && !isOver) {
        socket.send(message);
        sentBytes += message.byteLength;
        if (sentBytes % MiB === 0) await new Promise((resolve) => setTimeout(resolve, 0));
      }
      const failure = await rejection(accepted?.closed);
      assert.instanceOf(failure, ProtocolError);
      assert.match(
        (failure as Error).message,
        /where its window ends at 16777216, 16842752 in all/,
      );
      socket.close();
    });
  });

  test("websocket: messages that cannot be end the connection", async () => {
    const cases: [string | Uint8Array, RegExp][] = [
      ["12x", /says it took 12x of 0 bytes/],
      ["1", /says it took 1 of 0 bytes/],
    ];
    for (const [message, expected] of cases) {
      await withListener(adapter, async (listener) => {
        const Plain =
          runtime === "node20" ? (NodeWebSocket as unknown as typeof WebSocket) : WebSocket;
        const socket = new Plain(listener.url, SUBPROTOCOL);
        await new Promise((resolve) => socket.addEventListener("open", resolve));
        const { value: accepted } = await listener.connections.getReader().read();
        socket.send(message as string);
        const failure = await rejection(accepted?.closed);
        assert.instanceOf(failure, ProtocolError);
        assert.match((failure as Error).message, expected);
        socket.close();
      });
    }
  });

  test("websocket: pages from elsewhere, other names and other protocols are refused", async () => {
    const tcp = tcpAdapterOf(runtime);
    await withListener(
      adapter,
      async (listener, errors) => {
        const { port } = new URL(listener.url);
        const ask = async (headers: Readonly<Record<string, string>>): Promise<string> => {
          const connection = await tcp.connect(`tcp://127.0.0.1:${port}`);
          const all = {
            Upgrade: "websocket",
            Connection: "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Protocol": SUBPROTOCOL,
            ...headers,
          };
          const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
          const text = `GET / HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
          const writer = connection.writable.getWriter();
          await writer.write(new TextEncoder().encode(text));
          const { value } = await connection.readable.getReader().read();
          connection.close();
          return new TextDecoder().decode(value).slice(9, 12);
        };
        const here = `127.0.0.1:${port}`;
        assert.equal(await ask({ Host: here }), "101");
        assert.equal(await ask({ Host: here, Origin: `http://${here}` }), "101");
        assert.equal(await ask({ Host: here, Origin: "https://app.example" }), "101");
        assert.equal(await ask({ Host: `peer.example:${port}` }), "101");
        assert.isEmpty(errors);
        assert.equal(await ask({ Host: here, Origin: "https://evil.example" }), "403");
        assert.equal(await ask({ Host: `evil.example:${port}` }), "403");
        assert.equal(await ask({ Host: here, "Sec-WebSocket-Protocol": "chat" }), "400");
        assert.lengthOf(errors, 3);
        assert.match(errors[0]?.message ?? "", /pages of https:\/\/evil.example are not let in/);
        const plain = await fetch(`http://${here}/`);
        assert.equal(plain.status, 426);
        await plain.body?.cancel();
      },
      { origins: ["https://app.example"], hosts: ["peer.example"] },
    );
  });
}

/** A few bytes come from one end to the other; both are closed then. */
async function carriesBytes(near: Connection, far: Connection | undefined): Promise<void> {
  const writer = near.writable.getWriter();
  await writer.write(Uint8Array.of(1, 2, 3));
  await writer.close();
  assert.equal((await new Response(far?.readable).arrayBuffer()).byteLength, 3);
  near.close();
  far?.close();
}

function trust({ test, runtime }: Harness, adapter: WebSocketAdapter): void {
  test("websocket: an authority can be trusted, and no other", async () => {
    const { cert, key } = makeCertificate();
    const listener = await adapter.listen("wss://127.0.0.1:0", { cert, key });
    const taking = listener.connections.getReader().read();
    const near = await adapter.connect(listener.url, { ca: cert });
    await carriesBytes(near, (await taking).value);
    const other = makeCertificate().cert;
    await assertRejects(() => adapter.connect(listener.url, { ca: other }), TransportError, /./);
    await assertRejects(() => adapter.connect(listener.url), TransportError, /./);
    await listener.close();
  });

  if (!runtime.startsWith("node")) return;
  test("websocket: one certificate can be trusted, and no other (node only)", async () => {
    const { cert, key, sha256 } = makeCertificate();
    const listener = await node.listen("wss://127.0.0.1:0", { cert, key });
    const taking = listener.connections.getReader().read();
    const near = await node.connect(listener.url, { pinSha256: sha256 });
    near.close();
    (await taking).value?.close();
    const pin = "0".repeat(64);
    await assertRejects(
      () => node.connect(listener.url, { pinSha256: pin }),
      TransportError,
      new RegExp(`has the SHA-256 ${sha256}, wanted ${pin}`),
    );
    await assertRejects(() => node.connect(listener.url), TransportError, /self-signed/);
    await assertRejects(() => node.connect(listener.url, { pinSha256: "12" }), TypeError, /64/);
    await listener.close();
  });
}

function listening({ test, runtime }: Harness, adapter: WebSocketAdapter): void {
  test("websocket: says that nothing listens, and refuses what is not its URL", async () => {
    const listener = await adapter.listen(URL_HERE);
    await listener.close();
    await assertRejects(() => adapter.connect(listener.url), TransportError, /127\.0\.0\.1/);
    for (const url of ["tcp://127.0.0.1:1", "ws://user:secret@127.0.0.1:1"]) {
      await assertRejects(() => adapter.connect(url), TypeError, /ws:\/\/HOST:PORT/);
      await assertRejects(() => adapter.listen(url), TypeError, /ws:\/\/HOST:PORT/);
    }
  });

  test("websocket: an aborted signal stops the dial with its own reason, and closes the listener", async () => {
    const reason = new Error("not now");
    await assertRejects(
      () => adapter.connect("ws://127.0.0.1:9", { signal: AbortSignal.abort(reason) }),
      Error,
      /not now/,
    );
    const stop = new AbortController();
    const listener = await adapter.listen(URL_HERE, { signal: stop.signal });
    stop.abort(reason);
    assert.isTrue((await listener.connections.getReader().read()).done);
  });

  test("websocket: plain requests are answered on the same port, as fast as the client reads", async () => {
    let pulledBytes = 0;
    let isLetGo = false;
    const answer = async () => {
      const body = new ReadableStream<Uint8Array>(
        {
          pull(controller) {
            pulledBytes += MiB;
            controller.enqueue(new Uint8Array(MiB));
          },
          cancel() {
            isLetGo = true;
          },
        },
        { highWaterMark: 0 },
      );
      return new Response(body, { headers: { "x-kind": "endless" } });
    };
    await withListener(
      adapter,
      async (listener) => {
        const near = await adapter.connect(listener.url);
        const stop = new AbortController();
        const url = listener.url.replace("ws:", "http:");
        const response = await fetch(url, { signal: stop.signal });
        assert.equal(response.headers.get("x-kind"), "endless");
        const reader = response.body?.getReader();
        await reader?.read();
        await quiet(() => pulledBytes);
        assert.isAtMost(pulledBytes, 48 * MiB);
        stop.abort();
        await rejection(reader?.read());
        while (!isLetGo) await new Promise((resolve) => setTimeout(resolve, 1));
        near.close();
      },
      { fetch: answer },
    );
  });

  test("websocket: says that a port is in use", async () => {
    await withListener(adapter, async (listener) => {
      await assertRejects(() => adapter.listen(listener.url), TransportError, /in use/);
    });
  });

  test("websocket: connections that nobody takes are bounded", async () => {
    await withListener(
      adapter,
      async (listener) => {
        const taken = await Promise.allSettled(
          Array.from({ length: 8 }, () => adapter.connect(listener.url)),
        );
        const opened = taken.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
        const alive = new Set(opened);
        for (const one of opened) one.closed.catch(() => alive.delete(one));
        // Where an upgrade cannot be refused in time, what is too much is let go of right after.
        await quiet(() => alive.size);
        assert.isAtMost(alive.size, 3);
        assert.isAtLeast(alive.size, 2);
        for (const one of opened) one.close();
      },
      { maxPendingConnections: 2 },
    );
  });

  test("websocket: a plain request that would rather be another protocol's is answered all the same", () =>
    withListener(
      adapter,
      async (listener) => {
        const port = Number(new URL(listener.url).port);
        const socket = createConnection({ port, host: "127.0.0.1" });
        const ask =
          "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings, close\r\n";
        socket.write(`${ask}Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n`);
        let head = "";
        let bytes = 0;
        for await (const piece of socket as AsyncIterable<Uint8Array>) {
          head ||= new TextDecoder().decode(piece).split("\r\n", 1)[0] ?? "";
          bytes += piece.byteLength;
        }
        assert.match(head, /^HTTP\/1\.1 200/);
        assert.isAtLeast(bytes, 32 * MiB);
      },
      { fetch: async () => new Response(new Uint8Array(32 * MiB)) },
    ));

  if (runtime === "bun") {
    test("websocket: a plain answer may rest for longer than Bun's own ten seconds (bun only)", () => {
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          controller.enqueue(new Uint8Array(MiB));
          await new Promise((resolve) => setTimeout(resolve, 14_000));
          controller.enqueue(new Uint8Array(MiB));
          controller.close();
        },
      });
      return withListener(
        adapter,
        async (listener) => {
          const response = await fetch(listener.url.replace("ws:", "http:"));
          assert.equal((await response.arrayBuffer()).byteLength, 2 * MiB);
        },
        { fetch: async () => new Response(body) },
      );
    });
  }

  if (!runtime.startsWith("node")) return;
  test("websocket: what was sent of a plain response is let go of (node only)", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const pieces: WeakRef<Uint8Array>[] = [];
    let alive = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          if (pieces.length === 128) {
            await turn();
            collect();
            alive = pieces.filter((piece) => piece.deref() !== undefined).length;
            controller.close();
            return;
          }
          const piece = new Uint8Array(MiB);
          pieces.push(new WeakRef(piece));
          controller.enqueue(piece);
        },
      },
      { highWaterMark: 0 },
    );
    await withListener(
      adapter,
      async (listener) => {
        const response = await fetch(listener.url.replace("ws:", "http:"));
        const reader = response.body?.getReader();
        let receivedBytes = 0;
        for (let next = await reader?.read(); next?.value; next = await reader?.read()) {
          receivedBytes += next.value.byteLength;
        }
        assert.equal(receivedBytes, 128 * MiB);
        assert.isAtMost(alive, 32);
      },
      { fetch: async () => new Response(body) },
    );
  });

  test("websocket: who connects to an HTTP port and asks for nothing is closed (node only)", () =>
    withListener(adapter, async (listener) => {
      const port = Number(new URL(listener.url).port);
      const closed = ["", "GET / HTTP/1.1\r\nHost: localhost\r\n"].map(async (said) => {
        const socket = createConnection({ port, host: "127.0.0.1" }).resume();
        socket.on("error", () => {}).once("connect", () => socket.write(said));
        await once(socket, "close");
      });
      const secure = await node.listen("wss://127.0.0.1:0", makeCertificate());
      const { hostname: host, port: securePort } = new URL(secure.url);
      const silent = createConnection({ host, port: Number(securePort) }).resume();
      silent.on("error", () => {});
      await Promise.all([...closed, once(silent, "close")]);
      await secure.close();
    }));

  test("websocket: a message that is too long is not inflated, nor taken (node only)", async () => {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: true });
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const serving = once(server, "connection");
    const connection = await adapter.connect(`ws://127.0.0.1:${port}`);
    const [socket] = (await serving) as [NodeWebSocket];
    assert.equal(socket.extensions, "");
    socket.send(new Uint8Array(MOST_MESSAGE_BYTES + 1));
    assert.instanceOf(await rejection(connection.closed), TransportError);
    server.close();
  });

  test("websocket: over TLS, with the certificate that the caller trusts (node only)", async () => {
    const { cert, key } = makeCertificate();
    const listener = await adapter.listen("wss://127.0.0.1:0", { cert, key });
    class Trusting extends NodeWebSocket {
      constructor(url: string, protocols: string | string[]) {
        super(url, protocols, { ca: cert, checkServerIdentity: () => undefined as never });
      }
    }
    const taking = listener.connections.getReader().read();
    const own = Trusting as unknown as WebSocketConstructor;
    const near = await adapter.connect(listener.url, { WebSocket: own });
    await carriesBytes(near, (await taking).value);
    await listener.close();
    await assertRejects(() => adapter.listen("wss://127.0.0.1:0"), TypeError, /certificate/);
  });
}
