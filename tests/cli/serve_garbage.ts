import { connect, type Socket } from "node:net";
import { assert } from "chai";
import { DEFAULT_LIMITS } from "../../lib/limits.ts";
import type { Suite } from "../harness.ts";
import type { JsonEvent } from "./support/headrace_process.ts";
import { doneOf, type LabServer, withLab } from "./support/lab.ts";
import { assertSameFolder, type ModelPlan, modelBytes, randomBytes } from "./support/model.ts";

const MiB = 1024 * 1024;
const PLAN: ModelPlan = { shards: 3, tensors: 3, tensorBytes: 4 * MiB, seed: 6 };
/** The transfer would take two minutes; it is let go once the others are gone. */
const BYTES_PER_SECOND = modelBytes(PLAN) / 120;
const SILENT = 1000;

/** The beginning of a TLS 1.2 handshake that offers one cipher suite. */
const TLS_HELLO = Uint8Array.from([
  ...[0x16, 0x03, 0x01, 0x00, 0x2f, 0x01, 0x00, 0x00, 0x2b, 0x03, 0x03],
  ...randomBytes(32, 1),
  ...[0x00, 0x00, 0x02, 0x13, 0x01, 0x01, 0x00],
]);

/** Somebody who connects and speaks no headrace. */
class Stranger {
  /** Settles when the server has ended its connection. */
  readonly closed: Promise<void>;
  /** What the server knows it by. */
  readonly remote: string;
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.remote = `tcp://127.0.0.1:${socket.localPort}`;
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    socket.on("error", () => {}).resume();
  }

  static async connect(url: string): Promise<Stranger> {
    const port = Number(url.split(":").at(-1));
    const socket = connect({ port, host: "127.0.0.1" });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve).once("error", reject);
    });
    return new Stranger(socket);
  }

  send(bytes: Uint8Array | string): this {
    this.#socket.write(bytes);
    return this;
  }

  /** A byte a second, for as long as it may. */
  drip(bytes: Uint8Array): this {
    let at = 0;
    const timer = setInterval(() => this.#socket.write(bytes.subarray(at, ++at)), 1000);
    this.#socket.once("close", () => clearInterval(timer));
    return this;
  }
}

/**
 * What the server said of the end of a stranger's connection. Each is told once: the system gives
 * the port of a stranger that is gone to the next.
 */
async function endOf(server: LabServer, remote: string, told: Set<JsonEvent>): Promise<JsonEvent> {
  const isNext = (event: JsonEvent) => event.remote === remote && !told.has(event);
  const end = await server.process.event("connection", isNext);
  told.add(end);
  return end;
}

export const serveGarbageSuite: Suite = ({ test }) => {
  test("headrace serve: who speaks no headrace is closed with a reason, and disturbs nobody", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const server = await lab.serve([source]);
      const link = await lab.slowLink(server.url, BYTES_PER_SECOND);
      const out = lab.path("out");
      const pull = lab.start(["pull", `${link.url}/llama`, "-o", out]);
      let isOver = false;
      const done = pull.exit.finally(() => {
        isOver = true;
      });
      await link.passed(MiB / 8);

      const told = new Set<JsonEvent>();
      const stranger = () => Stranger.connect(server.url);
      const preamble = new TextEncoder().encode("HEADRACE");
      const speaking = {
        http: (await stranger()).send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
        tls: (await stranger()).send(TLS_HELLO),
        random: (await stranger()).send(randomBytes(100_000, 2)),
      };
      for (const [what, one] of Object.entries(speaking)) {
        const { error } = await endOf(server, one.remote, told);
        assert.equal((error as JsonEvent | undefined)?.code, "protocol", what);
        await one.closed;
      }

      const slow = (await stranger()).drip(preamble);
      const silent: Stranger[] = [];
      for (let n = 0; n < SILENT; n += 50) {
        silent.push(...(await Promise.all(Array.from({ length: 50 }, stranger))));
      }
      // While they are there, a new peer gets in.
      const listed = doneOf(await lab.run(["ls", `${server.url}/llama`]));
      assert.equal(listed.tensors, 14);

      let evicted = 0;
      for (const one of silent) {
        const { error } = await endOf(server, one.remote, told);
        const { code, message } = error as { code: string; message: string };
        if (code === "limit") evicted++;
        else assert.match(message, /did not say HELLO within 5000 ms/);
      }
      assert.isAtLeast(evicted, SILENT - DEFAULT_LIMITS.maxSilentConnections);
      assert.isBelow(evicted, SILENT);
      await Promise.all([slow, ...silent].map(({ closed }) => closed));
      await endOf(server, slow.remote, told);
      for (const { remote } of [slow, ...Object.values(speaking)]) {
        await server.process.logged(new RegExp(`${remote} was closed: (protocol|limit|transport)`));
      }

      assert.isFalse(isOver, "the transfer should have gone on all the while");
      link.bytesPerSecond = modelBytes(PLAN);
      const { retries, resumedBytes } = doneOf(await done);
      assert.deepEqual({ retries, resumedBytes }, { retries: 0, resumedBytes: 0 });
      await assertSameFolder(out, source);
    }));
};
