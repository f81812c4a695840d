// What workers alone can do, run in one: see runtimes/workerd.ts.
import { assert } from "chai";
import type { Connection, Listener } from "../../lib/connection.ts";
import { TransportError } from "../../lib/errors.ts";
import { connect, upgradeWebSocket } from "../../lib/transports/cloudflare.ts";
import { ConnectionQueue } from "../../lib/transports/connection_queue.ts";
import { connect as connectWebSocket } from "../../lib/transports/websocket.ts";
import type { WorkerSocket } from "../../lib/transports/worker_socket.ts";
import type { Harness } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { listenerConformance, type Pair, rejection, transportConformance } from "./conformance.ts";

/** Where the tests' other ends are. */
export interface WorkerSite {
  /** A {@linkcode startPairingRelay}. */
  readonly relayUrl: string;
  /** What leads to {@linkcode answerUpgrade}, with the name of a queue behind it. */
  readonly ownUrl: string;
}

const MOST_WAITING = 64;
const queues = new Map<string, ConnectionQueue>();
let made = 0;

/** Gives a WebSocket to the listener that the path names. */
export async function answerUpgrade(request: Request): Promise<Response> {
  const queue = queues.get(new URL(request.url).pathname.split("/").at(-1) ?? "");
  if (!queue?.hasRoom) return new Response("nobody listens here\n", { status: 503 });
  const { response, connection } = await upgradeWebSocket(request);
  if (connection) queue.add(connection);
  return response;
}

async function listen({ ownUrl }: WorkerSite): Promise<Listener> {
  const name = String(++made);
  const close = async () => {
    queues.get(name)?.close();
    queues.delete(name);
  };
  const queue = new ConnectionQueue(MOST_WAITING, close);
  queues.set(name, queue);
  return { url: `${ownUrl}/${name}`, connections: queue.connections, close };
}

/** Both ends of a connection that goes out of the worker and comes back. */
async function tcpPair({ relayUrl }: WorkerSite): Promise<Pair> {
  const key = crypto.getRandomValues(new Uint8Array(8));
  const dial = async (): Promise<Connection> => {
    const connection = await connect(relayUrl);
    const writer = connection.writable.getWriter();
    await writer.write(key);
    writer.releaseLock();
    return connection;
  };
  return Promise.all([dial(), dial()]);
}

async function webSocketPair(site: WorkerSite): Promise<Pair> {
  const listener = await listen(site);
  const taking = listener.connections.getReader();
  const [near, { value: far }] = await Promise.all([connectWebSocket(listener.url), taking.read()]);
  await listener.close();
  return [near, far as Connection];
}

/** Names each as one that no other runtime misses. */
function inWorkersOnly({ names, runtime, test }: Harness): Harness {
  return { names, runtime, test: (name, body) => test(`${name} (workerd only)`, body) };
}

/** Dialling over TCP. */
export function cloudflareTcpSuite(harness: Harness, site: WorkerSite): void {
  const here = inWorkersOnly(harness);
  transportConformance(here, "cloudflare tcp", () => tcpPair(site), { reset: false });
  dialling(here, site);
}

/** WebSockets at both of their ends, which only one and the same object can have. */
export function cloudflareWebSocketSuite(harness: Harness, site: WorkerSite): void {
  const here = inWorkersOnly(harness);
  transportConformance(here, "cloudflare websocket", () => webSocketPair(site), { reset: true });
  const swapped = async (): Promise<Pair> => {
    const [near, far] = await webSocketPair(site);
    return [far, near];
  };
  const name = "cloudflare websocket, accepted end first";
  transportConformance(here, name, swapped, { reset: true });
  listenerConformance(here, "cloudflare websocket", {
    listen: () => listen(site),
    connect: (url, signal) => connectWebSocket(url, { signal }),
  });
  upgrading(here);
}

function dialling({ test }: Harness, { relayUrl }: WorkerSite): void {
  test("cloudflare tcp: a port where nothing listens is a typed error that names it", async () => {
    const error = await rejection(connect("tcp://127.0.0.1:1"));
    assert.instanceOf(error, TransportError);
    assert.match((error as Error).message, /^Connecting to tcp:\/\/127\.0\.0\.1:1 failed: /);
  });

  test("cloudflare tcp: a dial that is given up fails with the very reason", async () => {
    const reason = { any: "thing" };
    const early = connect(relayUrl, { signal: AbortSignal.abort(reason) });
    assert.equal(await rejection(early), reason);
    const during = new AbortController();
    const late = rejection(connect(relayUrl, { signal: during.signal }));
    during.abort(reason);
    assert.equal(await late, reason);
  });

  test("cloudflare tcp: a given connect is asked for TLS, and never for more than 64 KiB at once", async () => {
    const asked: unknown[] = [];
    const writes: number[] = [];
    const fake = (): WorkerSocket => ({
      readable: new ReadableStream({ type: "bytes" }),
      writable: new WritableStream<Uint8Array>({
        write: ({ byteLength }) => {
          writes.push(byteLength);
        },
      }),
      opened: Promise.resolve(),
      closed: new Promise(() => {}),
      close: async () => {},
    });
    const connection = await connect("tls://weights.example:443", {
      connect: (...all) => {
        asked.push(...all);
        return fake();
      },
    });
    assert.deepEqual(asked, [
      { hostname: "weights.example", port: 443 },
      { secureTransport: "on", allowHalfOpen: true },
    ]);
    await connection.writable.getWriter().write(new Uint8Array(150_000));
    assert.deepEqual(writes, [65_536, 65_536, 18_928]);
    connection.close();
  });

  test("cloudflare tcp: who takes too long to answer is given up", async () => {
    let isClosed = false;
    const silent: WorkerSocket = {
      readable: new ReadableStream({ type: "bytes" }),
      writable: new WritableStream(),
      opened: new Promise(() => {}),
      closed: new Promise(() => {}),
      close: async () => {
        isClosed = true;
      },
    };
    const dialled = connect("tcp://weights.example", {
      connect: () => silent,
      connectTimeoutMs: 1,
    });
    await assertRejects(() => dialled, TransportError, /no connection within 1 ms/);
    assert.isTrue(isClosed);
  });
}

function upgrading({ test }: Harness): void {
  const upgrade = (headers: Record<string, string>) =>
    new Request("http://weights.example/", {
      headers: { upgrade: "websocket", "sec-websocket-protocol": "headrace.2", ...headers },
    });

  test("cloudflare websocket: hosts and pages that are not named are refused", async () => {
    const cases: [Record<string, string>, number, RegExp][] = [
      [{ host: "evil.example" }, 403, /not called evil\.example/],
      [{ host: "weights.example", origin: "https://evil.example" }, 403, /pages of https:\/\/evil/],
      [{ host: "weights.example", "sec-websocket-protocol": "chat" }, 400, /only headrace\.2/],
      [{ host: "weights.example", upgrade: "h2c" }, 426, /only WebSockets/],
    ];
    for (const [headers, status, why] of cases) {
      const rules = { hosts: ["weights.example"] };
      const { response, connection, refusal } = await upgradeWebSocket(upgrade(headers), rules);
      assert.equal(response.status, status);
      assert.isUndefined(connection);
      assert.match(refusal?.message ?? "", why);
      assert.match(await response.text(), why);
    }
  });

  test("cloudflare websocket: a page that is named is let in", async () => {
    const headers = { host: "weights.example", origin: "https://app.example" };
    const { response, connection } = await upgradeWebSocket(upgrade(headers), {
      hosts: ["weights.example"],
      origins: ["https://app.example"],
    });
    assert.equal(response.status, 101);
    assert.equal(response.headers.get("sec-websocket-protocol"), "headrace.2");
    connection?.close();
  });
}
