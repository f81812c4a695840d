import { execFile } from "node:child_process";
import { networkInterfaces } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { assert } from "chai";
import type { Connection, Listener } from "../../lib/connection.ts";
import { TransportError } from "../../lib/errors.ts";
import type { Harness, Suite } from "../harness.ts";
import { type TcpAdapter, tcpAdapterOf } from "./adapter.ts";
import { makeCertificate, type TestCertificate } from "./certificate.ts";
import { listenerConformance, type Pair, rejection, transportConformance } from "./conformance.ts";

let made: TestCertificate | undefined;
const certificate = () => {
  made ??= makeCertificate();
  return made;
};

export const tcpSuite: Suite = (harness) => {
  const adapter = tcpAdapterOf(harness.runtime);
  const plain = (host: string) => () => openPair(adapter, `tcp://${host}:0`);
  // Deno's own sockets cannot reset.
  const reset = harness.runtime !== "deno";
  transportConformance(harness, "tcp", plain("127.0.0.1"), { reset });
  transportConformance(harness, "tcp, accepted end first", swapped(plain("127.0.0.1")), { reset });
  transportConformance(harness, "tls", () => openPair(adapter, "tls://127.0.0.1:0"), {
    reset: false,
  });
  transportConformance(
    harness,
    "tls, accepted end first",
    swapped(() => openPair(adapter, "tls://127.0.0.1:0")),
    { reset: false },
  );
  if (hasIpv6Loopback()) {
    transportConformance(harness, "tcp over IPv6", plain("[::1]"), { reset });
  } else {
    harness.test("SKIPPED, this machine has no ::1: tcp over IPv6", () => {});
  }
  listenerConformance(harness, "tcp", {
    listen: () => adapter.listen("tcp://127.0.0.1:0"),
    connect: (url, signal) => adapter.connect(url, { signal }),
  });
  listenerConformance(harness, "tls", {
    listen: () => adapter.listen("tls://127.0.0.1:0", certificate()),
    connect: (url, signal) => adapter.connect(url, { signal, ca: certificate().cert }),
  });
  dialling(harness, adapter);
  lending(harness, adapter);
  leftovers(harness);
  listening(harness, adapter);
  trust(harness, adapter);
};

/** Node allocates for every read of a socket unless it is told where to read to. */
function lending({ test, runtime }: Harness, adapter: TcpAdapter): void {
  if (!runtime.startsWith("node")) return;
  for (const end of ["dialled", "accepted"]) {
    test(`tcp: reads into the same memory again and again, at the ${end} end (node only)`, async () => {
      const pair = await openPair(adapter, "tcp://127.0.0.1:0");
      const [reading, writing] = end === "dialled" ? pair : [pair[1], pair[0]];
      const memory = new Set<ArrayBufferLike>();
      let receivedBytes = 0;
      const received = reading.receive?.((view) => {
        memory.add(view.buffer);
        receivedBytes += view.byteLength;
      });
      const writer = writing.writable.getWriter();
      for (let n = 0; n < 32; n++) await writer.write(new Uint8Array(100_000));
      await writer.close();
      await received;
      assert.equal(receivedBytes, 3_200_000);
      assert.isAtMost(memory.size, 2, "one before the reader is known, one for it");
      await reading.writable.close();
      await writing.readable.cancel();
    });
  }
}

function dialling({ test }: Harness, { connect, listen }: TcpAdapter): void {
  test("tcp: says that nothing listens", async () => {
    const listener = await listen("tcp://127.0.0.1:0");
    await listener.close();
    const error = await transportError(connect(listener.url));
    assert.match(error.message, /^Connecting to tcp:\/\/127\.0\.0\.1:\d+ failed: nothing listens/);
    assert.isTrue(error.retryable);
    assert.isDefined(error.cause);
    assert.notInclude(error.message, "\n");
  });

  test("tcp: says that a name does not resolve", async () => {
    const error = await transportError(connect("tcp://nope.invalid:1"));
    assert.match(error.message, /nope\.invalid:1 failed: the host name does not resolve/);
    assert.isDefined(error.cause);
  });

  test("tcp: an aborted signal stops the dial at any stage with its own reason", async () => {
    const listener = await listen("tcp://127.0.0.1:0");
    const reason = new Error("changed my mind");
    const early = AbortSignal.abort(reason);
    assert.strictEqual(await rejection(connect(listener.url, { signal: early })), reason);
    assert.strictEqual(await rejection(listen("tcp://127.0.0.1:0", { signal: early })), reason);

    const during = new AbortController();
    const dial = rejection(connect(listener.url, { signal: during.signal }));
    during.abort(reason);
    assert.strictEqual(await dial, reason);

    // Nobody answers the handshake: this is as far as a dial gets.
    const handshake = new AbortController();
    const silent = listener.url.replace("tcp:", "tls:");
    const shaking = rejection(connect(silent, { signal: handshake.signal }));
    await listener.connections.getReader().read();
    handshake.abort(reason);
    assert.strictEqual(await shaking, reason);
    await listener.close();
  });

  test("tcp: a dial that takes too long is given up", async () => {
    const listener = await listen("tcp://127.0.0.1:0");
    const silent = listener.url.replace("tcp:", "tls:");
    const error = await transportError(connect(silent, { connectTimeoutMs: 30 }));
    assert.match(error.message, /no connection within 30 ms/);
    await listener.close();
  });

  test("tcp: a signal that outlives the connection holds no listener of it", async () => {
    const counted = countingSignal();
    const [near, far] = await openPair({ connect, listen }, "tcp://127.0.0.1:0", counted.signal);
    assert.equal(counted.listeners(), 0);
    near.close();
    far.close();
    await rejection(connect("tcp://127.0.0.1:1", { signal: counted.signal }));
    const listener = await listen("tcp://127.0.0.1:0", { signal: counted.signal });
    assert.equal(counted.listeners(), 1);
    await listener.close();
    assert.equal(counted.listeners(), 0);
  });

  test("tcp: refuses what is not its URL before anything is dialled", async () => {
    for (const url of [
      "http://127.0.0.1",
      "tcp://a/b",
      "tcp://user:secret@a",
      "tcp://",
      "nonsense",
    ]) {
      const error = await rejection(connect(url));
      assert.instanceOf(error, TypeError);
      assert.notInclude(String(error), "secret");
      assert.instanceOf(await rejection(listen(url)), TypeError);
    }
  });
}

/** A program that dials, listens and exchanges must end by itself: nothing may be left open. */
function leftovers({ runtime, test }: Harness): void {
  const start = (name: string, shell: (command: string) => string[]) => {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const program = fileURLToPath(new URL(`./${name}.${extension}`, import.meta.url));
    const flags = runtime === "deno" ? ["run", "--no-check", "-A"] : [];
    const [command = "", ...rest] = shell(process.execPath);
    return promisify(execFile)(command, [...rest, ...flags, program, runtime], { timeout: 20_000 });
  };

  test("tcp: a program that is done ends by itself", async () => {
    const { stdout } = await start("exits_by_itself", (command) => [command]);
    assert.equal(stdout.trim(), "exchanged 1048576 bytes");
  });

  if (process.platform === "win32") {
    test("SKIPPED, Windows has no ulimit: tcp: running out of file descriptors", () => {});
  } else {
    test("tcp: a listener outlives running out of file descriptors", async () => {
      const limited = (command: string) => ["sh", "-c", 'ulimit -n 100; exec "$@"', "sh", command];
      const { stdout } = await start("survives_emfile", limited);
      // Bun reports its own lack of descriptors as a refusal.
      const why = runtime === "bun" ? /^1 byte after/ : /^1 byte after: .*too many files are open/;
      assert.match(stdout, why);
    });
  }
}

function listening({ runtime, test }: Harness, { connect, listen }: TcpAdapter): void {
  test("tcp: says that a port is in use, and frees it when closed", async () => {
    const first = await listen("tcp://127.0.0.1:0");
    const error = await transportError(listen(first.url));
    assert.match(
      error.message,
      /^Listening on tcp:\/\/127\.0\.0\.1:\d+ failed: the port is in use/,
    );
    assert.isFalse(error.retryable);
    await first.close();
    await first.close();
    const second = await listen(first.url);
    assert.equal(second.url, first.url);
    await second.close();
  });

  test("tcp: says that an address is not this machine's", async () => {
    const error = await transportError(listen("tcp://192.0.2.1:0"));
    assert.match(error.message, /this machine does not have that address/);
  });

  test("tcp: connections that nobody takes are bounded", async () => {
    const listener = await listen("tcp://127.0.0.1:0", { maxPendingConnections: 2 });
    const dialled = [await connect(listener.url), await connect(listener.url)];
    // Deno accepts only when asked: its kernel holds any number. Elsewhere the third is reset, maybe
    // while it dials.
    if (runtime !== "deno") {
      await transportError(connect(listener.url).then((third) => third.receive?.(() => {})));
    }
    const reader = listener.connections.getReader();
    for (const connection of dialled) {
      const { value: taken } = await reader.read();
      await taken?.writable.getWriter().write(Uint8Array.of(7));
      const { value } = await connection.readable.getReader().read();
      assert.deepEqual([...(value ?? [])], [7]);
      taken?.close();
    }
    for (const connection of dialled) connection.close();
    await listener.close();
  });

  test("tcp: closing the listener ends its connections, not those that were taken", async () => {
    const listener = await listen("tcp://127.0.0.1:0");
    const reader = listener.connections.getReader();
    const [near, { value: far }] = await Promise.all([connect(listener.url), reader.read()]);
    await listener.close();
    assert.isTrue((await reader.read()).done);
    await transportError(connect(listener.url));
    await near.writable.close();
    for await (const _ of far?.readable ?? []) assert.fail("nothing was sent");
    await far?.writable.close();
    await near.receive?.(() => assert.fail("nothing was sent"));
    await Promise.all([near.closed, far?.closed]);
  });

  test("tcp: an aborted signal closes the listener", async () => {
    const abort = new AbortController();
    const listener = await listen("tcp://127.0.0.1:0", { signal: abort.signal });
    const next = listener.connections.getReader().read();
    abort.abort();
    assert.isTrue((await next).done);
    await transportError(connect(listener.url));
  });

  test("tls: a peer that does not speak TLS is reported and the listener goes on", async () => {
    const { cert, key } = certificate();
    let report: (error: TransportError) => void = () => {};
    const reported = new Promise<TransportError>((resolve) => {
      report = resolve;
    });
    const listener = await listen("tls://127.0.0.1:0", { cert, key, onError: report });
    const next = listener.connections.getReader().read();
    const stranger = await connect(listener.url.replace("tls:", "tcp:"));
    const written = stranger.writable
      .getWriter()
      .write(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
    assert.match((await reported).message, /^Accepting a connection on tls:/);
    await written;
    stranger.close();
    const [near, { value: far }] = await Promise.all([connect(listener.url, { ca: cert }), next]);
    near.close();
    far?.close();
    await listener.close();
  });
}

function trust({ runtime, test }: Harness, { connect, listen }: TcpAdapter): void {
  const withListener = (what: string, body: (listener: Listener) => Promise<void>) =>
    test(`tls: ${what}`, async () => {
      const { cert, key } = certificate();
      const listener = await listen("tls://127.0.0.1:0", { cert, key });
      // Somebody has to take what is dialled: Deno shakes hands only then.
      const taking = (async () => {
        for await (const connection of listener.connections) connection.close();
      })();
      try {
        await body(listener);
      } finally {
        await listener.close();
        await taking;
      }
    });

  withListener("an unknown certificate is refused with what to do", async ({ url }) => {
    const error = await transportError(connect(url));
    assert.match(error.message, /certificate is not trusted .*\(ca\).*\(pinSha256\)/);
    assert.isFalse(error.retryable);
  });

  withListener("a pinned certificate is trusted, another is not", async ({ url }) => {
    if (runtime === "deno") {
      const error = await transportError(connect(url, { pinSha256: certificate().sha256 }));
      assert.match(error.message, /Deno shows programs no certificate/);
      return;
    }
    const { sha256, cert } = certificate();
    const colons = (sha256.toUpperCase().match(/../g) ?? []).join(":");
    (await connect(url, { pinSha256: colons })).close();
    const other = "0".repeat(64);
    const error = await transportError(connect(url, { pinSha256: other, ca: cert }));
    assert.include(error.message, sha256);
    assert.include(error.message, other);
    assert.instanceOf(await rejection(connect(url, { pinSha256: "12" })), TypeError);
  });

  test("tls: what has no certificate is held to none, and not dialled in the clear", async () => {
    const listener = await listen("tcp://127.0.0.1:0");
    for (const trust of [{ ca: certificate().cert }, { pinSha256: "0".repeat(64) }]) {
      const error = await rejection(connect(listener.url, trust));
      assert.instanceOf(error, TypeError);
      assert.match((error as Error).message, /has no certificate .* dial tls:/);
    }
    await listener.close();
  });

  withListener("the certificate must hold the name that was asked for", async ({ url }) => {
    const { cert } = certificate();
    (await connect(url, { ca: cert, serverName: "localhost" })).close();
    const error = await transportError(connect(url, { ca: cert, serverName: "elsewhere.test" }));
    assert.match(error.message, /not trusted/);
  });

  test("tls: listening without certificate and key is misuse", async () => {
    assert.instanceOf(await rejection(listen("tls://127.0.0.1:0")), TypeError);
  });
}

async function openPair(
  { connect, listen }: TcpAdapter,
  url: string,
  signal?: AbortSignal,
): Promise<Pair> {
  const tls = url.startsWith("tls:") ? certificate() : undefined;
  const listener = await listen(url, tls === undefined ? {} : { cert: tls.cert, key: tls.key });
  const reader = listener.connections.getReader();
  const dialled = connect(listener.url, { signal, ...(tls === undefined ? {} : { ca: tls.cert }) });
  const [near, accepted] = await Promise.all([dialled, reader.read()]);
  await listener.close();
  return [near, accepted.value as Connection];
}

function swapped(open: () => Promise<Pair>): () => Promise<Pair> {
  return async () => {
    const [near, far] = await open();
    return [far, near];
  };
}

async function transportError(promise: Promise<unknown>): Promise<TransportError> {
  const error = await rejection(promise);
  assert.instanceOf(error, TransportError);
  return error as TransportError;
}

function countingSignal(): { signal: AbortSignal; listeners(): number } {
  const { signal } = new AbortController();
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners++;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners--;
    remove(...args);
  };
  return { signal, listeners: () => listeners };
}

function hasIpv6Loopback(): boolean {
  return Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some(({ address }) => address === "::1"),
  );
}
