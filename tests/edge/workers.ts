// The examples of workers, in a real workerd, against a peer in the runtime that runs this.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { assert } from "chai";
import { makeWeights } from "../../lib/cli/demo_weights.ts";
import type { Listener } from "../../lib/connection.ts";
import { SafetensorsStore } from "../../lib/formats/safetensors_store.ts";
import { PeerHost } from "../../lib/session/host.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import type { TensorPeerOptions } from "../../lib/session/peer_options.ts";
import {
  formatAddress,
  matchesAddress,
  parsePattern,
  type TensorAddress,
} from "../../lib/tensor/address.ts";
import type { SinkStore, TensorSink } from "../../lib/tensor/sink.ts";
import type { StoreEntry, TensorSource, TensorStore } from "../../lib/tensor/source.ts";
import { bundle } from "../../scripts/bundle.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import { sameBytes } from "../streams/support.ts";
import { tcpAdapterOf } from "../transports/adapter.ts";
import { webSocketAdapterOf } from "../transports/websocket_adapter.ts";
import { type RunningWorker, withBucketWorker, withWorker } from "./running_worker.ts";

const MiB = 1024 * 1024;
const LARGE_BYTES = 1024 * MiB;
/** Out of a peer: the memory of a few leaves, and what the engine has not collected yet. */
const MOST_GROWTH_OUT_BYTES = 96 * MiB;
/** Into a peer: what is kept to be sent again comes on top. Together what a worker may have at all. */
const MOST_GROWTH_IN_BYTES = 128 * MiB;

/** Each request of a worker dials anew; the many small tensors would show nothing more. */
const isLarge = ({ descriptor }: StoreEntry): boolean => descriptor.byteLength > 64 * 1024;

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

async function entriesOf(store: TensorStore): Promise<StoreEntry[]> {
  const entries: StoreEntry[] = [];
  for await (const entry of store.list(parsePattern(""))) entries.push(entry);
  return entries;
}

async function bytesOf(store: TensorStore, address: TensorAddress): Promise<Uint8Array> {
  const source = await store.open(address);
  const bytes = new Uint8Array(source.descriptor.byteLength);
  await source.read(0, bytes);
  await source.close?.();
  return bytes;
}

/** A folder of real weights, which is gone afterwards. */
function withWeights(body: (folder: string) => Promise<void>): Promise<void> {
  return withTempFolder(async (parent) => {
    const folder = join(parent, "weights");
    await makeWeights(folder);
    await body(folder);
  });
}

/** One tensor whose every MiB is another, made as it is read. */
function largeStore(): TensorStore {
  const source: TensorSource = {
    descriptor: { dtype: "U8", shape: [LARGE_BYTES], byteLength: LARGE_BYTES },
    version: async () => Uint8Array.of(1),
    read: async (byteOffset, into) => fillLarge(byteOffset, into),
  };
  const address = { model: "large", partition: "p", tensor: "w" };
  return {
    async *list(pattern) {
      if (!matchesAddress(pattern, address)) return;
      yield { address, descriptor: source.descriptor, version: await source.version() };
    },
    open: async () => source,
  };
}

function fillLarge(byteOffset: number, into: Uint8Array): void {
  for (let at = 0; at < into.byteLength; ) {
    const within = (byteOffset + at) % MiB;
    const length = Math.min(MiB - within, into.byteLength - at);
    into.fill((byteOffset + at) / MiB, at, at + length);
    at += length;
  }
}

/** Takes the large tensor, and keeps of it only how much came as it was sent. */
class LargeCheck implements SinkStore {
  checkedBytes = 0;

  /** Bytes that come in their order. */
  take(bytes: Uint8Array): void {
    this.#check(this.checkedBytes, bytes);
  }

  async accept(): Promise<TensorSink> {
    return {
      held: async () => undefined,
      begin: async () => {},
      write: async ({ index }, bytes) => this.#check(index * MiB, bytes),
      commit: async () => {},
      release: async () => {},
    };
  }

  #check(byteOffset: number, bytes: Uint8Array): void {
    const wanted = new Uint8Array(bytes.byteLength);
    fillLarge(byteOffset, wanted);
    assert.isTrue(sameBytes(bytes, wanted), `wrong bytes from byte ${byteOffset} on`);
    this.checkedBytes += bytes.byteLength;
  }
}

/** Serves what a worker asks for, as long as the body runs. */
async function withOrigin(
  listening: Promise<Listener>,
  peer: TensorPeerOptions,
  body: (url: string) => Promise<void>,
): Promise<void> {
  const listener = await listening;
  const host = new PeerHost(listener.connections, { peer: () => peer });
  try {
    await body(listener.url);
  } finally {
    await host.close();
    await listener.close();
  }
}

/** The most memory that the process has had. */
function mostBytes({ pid }: RunningWorker): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]);
}

export const edgeWorkersSuite: Suite = ({ test, runtime }) => {
  const tcp = tcpAdapterOf(runtime);
  const webSocket = webSocketAdapterOf(runtime);

  test("edge: bundles of workers make no code from text", async () => {
    await withTempFolder(async (folder) => {
      for (const example of ["serve_r2", "pull_through"]) {
        const file = join(folder, `${example}.js`);
        await bundle(`examples/edge/${example}.ts`, file, ["workerd"]);
        assert.notMatch(await readFile(file, "utf8"), /\beval\s*\(|\bFunction\s*\(/, example);
      }
    });
  });

  real("a worker serves the real weights of a bucket by WebSocket and by plain HTTP", async () => {
    await withWeights(async (folder) => {
      const local = await SafetensorsStore.open([folder]);
      const folders = { one: folder, two: folder };
      await withBucketWorker("examples/edge/serve_r2.ts", folders, async ({ url }) => {
        const wanted = await entriesOf(local);
        const peer = new TensorPeer((signal) =>
          webSocket.connect(url.replace("http", "ws"), { signal }),
        );
        let pulledBytes = 0;
        for (const model of ["one", "two"]) {
          const found = await peer.list(model);
          assert.sameMembers(
            found.map(({ address }) => address.tensor),
            wanted.map(({ address }) => address.tensor),
          );
          for (const { address } of found.filter(isLarge)) {
            const pull = peer.requestTensor(address, { into: "memory" });
            const bytes = await pull.bytes();
            assert.equal(pull.verified, "root");
            const own = await bytesOf(local, { ...address, model: "weights" });
            assert.equal(sha256(bytes), sha256(own), formatAddress(address));
            pulledBytes += bytes.byteLength;
          }
        }
        assert.isAbove(pulledBytes, 64 * MiB);
        await peer.close();

        const largest = wanted.toSorted(
          (a, b) => b.descriptor.byteLength - a.descriptor.byteLength,
        );
        const address = (largest[0] as StoreEntry).address;
        const path = `${url}/${formatAddress({ ...address, model: "one" })}`;
        const own = await bytesOf(local, address);
        const whole = await fetch(path);
        assert.equal(sha256(new Uint8Array(await whole.arrayBuffer())), sha256(own));
        const etag = whole.headers.get("etag") ?? "";
        const range = await fetch(path, {
          headers: { range: "bytes=1000000-1999999", "if-range": etag },
        });
        assert.equal(range.status, 206);
        const part = own.subarray(1_000_000, 2_000_000);
        assert.equal(sha256(new Uint8Array(await range.arrayBuffer())), sha256(part));
        const leaves = new Uint8Array(await (await fetch(`${path}/leaves.sha256`)).arrayBuffer());
        assert.equal(leaves.byteLength, 32 * Math.ceil(own.byteLength / MiB));
        const page = await fetch(path, { headers: { origin: "https://evil.example" } });
        assert.equal(page.status, 403);
        await page.body?.cancel();
      });
    });
  });

  for (const scheme of ["tcp", "ws"] as const) {
    real(`a worker streams real weights out of a peer over ${scheme}, and into it`, async () => {
      await withWeights(async (folder) => {
        const local = await SafetensorsStore.open([folder]);
        const sinks = new MemoryStore();
        const { listen } = scheme === "tcp" ? tcp : webSocket;
        const listening = listen(`${scheme}://127.0.0.1:0`);
        await withOrigin(listening, { store: local, sinks }, async (ORIGIN) => {
          await withWorker("examples/edge/pull_through.ts", { ORIGIN }, async ({ url }) => {
            let movedBytes = 0;
            const entries = (await entriesOf(local)).filter(isLarge);
            for (const { address, descriptor } of entries) {
              const path = `${url}/${formatAddress(address)}`;
              const response = await fetch(path);
              assert.equal(response.headers.get("content-length"), String(descriptor.byteLength));
              const bytes = new Uint8Array(await response.arrayBuffer());
              assert.equal(sha256(bytes), sha256(await bytesOf(local, address)));
              const headers = {
                "headrace-dtype": descriptor.dtype,
                "headrace-shape": descriptor.shape.join(","),
              };
              const put = await fetch(path, { method: "PUT", body: bytes, headers });
              assert.equal(put.status, 204, await put.text());
              assert.equal(sha256(sinks.get(address)?.bytes as Uint8Array), sha256(bytes));
              movedBytes += 2 * bytes.byteLength;
            }
            assert.isAbove(movedBytes, 64 * MiB);
            const none = await fetch(`${url}/weights/none/w`);
            assert.equal(none.status, 404);
            await none.body?.cancel();
          });
        });
      });
    });
  }

  large("out of a peer", MOST_GROWTH_OUT_BYTES, async (worker, check) => {
    const response = await fetch(`${worker.url}/large/p/w`);
    for await (const piece of response.body as ReadableStream<Uint8Array>) check.take(piece);
  });

  large("into a peer", MOST_GROWTH_IN_BYTES, async (worker) => {
    let at = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at === LARGE_BYTES) return controller.close();
        const piece = new Uint8Array(MiB);
        fillLarge(at, piece);
        at += MiB;
        controller.enqueue(piece);
      },
    });
    const headers = { "headrace-dtype": "U8", "headrace-shape": String(LARGE_BYTES) };
    const sending = { method: "PUT", body, headers, duplex: "half" };
    const put = await fetch(`${worker.url}/large/p/w`, sending);
    assert.equal(put.status, 204, await put.text());
  });

  /** A runtime of workers is at one end; that each other end does its part, the pairings show. */
  function real(what: string, body: () => Promise<void>): void {
    if (runtime === "node26") test(`edge: ${what} (node26 only)`, body);
  }

  /** One runtime is enough to see what a worker holds, and Linux tells. */
  function large(
    which: string,
    mostGrowthBytes: number,
    move: (worker: RunningWorker, check: LargeCheck) => Promise<void>,
  ): void {
    if (runtime !== "node26" || process.platform !== "linux") return;
    test(`edge: a worker streams a tensor of 1 GiB ${which} in memory that does not grow with it (node26 only)`, async () => {
      const check = new LargeCheck();
      const origin = { store: largeStore(), sinks: check };
      await withOrigin(tcp.listen("tcp://127.0.0.1:0"), origin, async (ORIGIN) => {
        await withWorker("examples/edge/pull_through.ts", { ORIGIN }, async (worker) => {
          // Its code is loaded then, and has dialled once.
          await (await fetch(`${worker.url}/small/p/w`)).text();
          const before = mostBytes(worker);
          await move(worker, check);
          assert.equal(check.checkedBytes, LARGE_BYTES);
          const grown = mostBytes(worker) - before;
          assert.isBelow(grown, mostGrowthBytes, `workerd grew by ${grown} bytes`);
        });
      });
    });
  }
};
