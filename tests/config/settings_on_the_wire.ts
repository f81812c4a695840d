// Each setting, said in a file and in the environment, is seen to be kept to.
import { assert } from "chai";
import { peerOptions } from "../../lib/config/peer_options.ts";
import { resolveSettings } from "../../lib/config/resolve_settings.ts";
import { SETTING_KEYS, type SettingKey } from "../../lib/config/setting_keys.ts";
import { DEFAULT_SETTINGS, type Settings } from "../../lib/config/settings.ts";
import { LimitError, RetryExhaustedError, TransportError } from "../../lib/errors.ts";
import { ByteSource } from "../../lib/session/byte_source.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { ManualClock, quiet } from "../session/support/manual_clock.ts";
import { cut, Place } from "../session/support/place.ts";
import { RawPeer } from "../session/support/raw_peer.ts";
import { storeOf, TestSink, TestSource } from "../session/support/tensors.ts";
import { ADDRESS, exchange, noted, Sent } from "./watched_exchange.ts";

const MiB = 1024 * 1024;
/** Four whole leaves and a short one, which compress well. */
const LAST_BYTES = 50_000;
const ZEROS = new Uint8Array(4 * MiB + LAST_BYTES);

const served = async (settings: Settings) =>
  (await exchange(settings, DEFAULT_SETTINGS, ZEROS)).server;
const hello = async (settings: Settings) => (await served(settings)).hello;

/** Dials that all fail: how many, and how long the pauses between them are. */
async function failedDials(settings: Settings) {
  const clock = new ManualClock();
  let dials = 0;
  const connect = () => {
    dials++;
    return Promise.reject(new TransportError("nobody there"));
  };
  const peer = new TensorPeer(connect, { ...peerOptions(settings), clock, random: () => 0 });
  await assertRejects(
    () => clock.runUntil(peer.list()),
    RetryExhaustedError,
    /4 failed|8 failed|6 failed/,
  );
  await peer.close();
  return { dials, pausesMs: clock.delaysMs };
}

/** How far a sender gets of whom nobody reads. */
async function unreadBytes(settings: Settings): Promise<number> {
  const store = new MemoryStore();
  store.set(ADDRESS, new Uint8Array(40 * MiB));
  const [near, far] = connectionPair();
  const sent = new Sent();
  const server = new TensorPeer(noted(far, sent), { store, codecs: [], accepted: true });
  const options = peerOptions(settings);
  const client = new TensorPeer(near, { ...options, chunkBytes: 64 * 1024 });
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const transfer = client.requestTensor(ADDRESS, {
    into: ({ descriptor }) => {
      const sink = new TestSink(descriptor);
      sink.onWrite = () => held;
      return sink;
    },
  });
  await quiet(() => sent.chunkDataBytes);
  const bytes = sent.chunkDataBytes;
  release();
  await transfer.done;
  await Promise.all([client.close(), server.close()]);
  return bytes;
}

/** How long a connection lasts whose other end says HELLO and then no more. */
async function silentMs(settings: Settings): Promise<number> {
  const clock = new ManualClock();
  const [near, far] = connectionPair();
  const raw = new RawPeer(far);
  const peer = new TensorPeer(near, { ...peerOptions(settings), clock });
  peer.closed.catch(() => {});
  await raw.greet();
  await peer.remoteHello();
  await clock.runUntil(peer.closed.catch(() => {}));
  raw.close();
  return clock.now();
}

/** How long a request waits of which the other end says nothing, while it answers pings. */
async function stalledMs(settings: Settings): Promise<number> {
  const clock = new ManualClock();
  const [near, far] = connectionPair();
  const raw = new RawPeer(far);
  raw.answersPings = true;
  const peer = new TensorPeer(near, { ...peerOptions(settings), clock });
  await raw.greet();
  const transfer = peer.requestTensor(ADDRESS, { into: "memory" });
  await assertRejects(() => clock.runUntil(transfer.done), TransportError, /stood still/);
  const ms = clock.now();
  peer.destroy(new TransportError("over"));
  raw.close();
  return ms;
}

/** Which of two prefetched tensors of 200 KiB are still there. */
async function keptPrefetches(settings: Settings): Promise<number> {
  const addresses = ["a", "b"].map((tensor) => ({ ...ADDRESS, tensor }));
  const sources = addresses.map(
    (address) => [address, new TestSource(new Uint8Array(200 * 1024))] as const,
  );
  const place = new Place({
    store: storeOf(...sources.map(([a, s]): [typeof a, typeof s] => [a, s])),
  });
  const peer = new TensorPeer(place.connect, peerOptions(settings));
  for (const { done } of peer.prefetch(addresses)) await done;
  for (const address of addresses) await peer.requestTensor(address, { into: "memory" }).done;
  await peer.close();
  await place.close();
  // Whoever was let go of is read a second time.
  return sources.filter(([, source]) => source.readBytes === 200 * 1024).length;
}

/** What is looked at, under the default and under an unusual value of the setting. */
interface Probe {
  readonly json: unknown;
  readonly look: (settings: Settings) => Promise<unknown>;
  readonly usual: unknown;
  readonly unusual: unknown;
}

const RAW_LEAVES = Array.from({ length: 4 }, () => MiB);
const lengths = async (settings: Settings) =>
  (await served(settings)).chunks.map((c) => c.rawBytes);
const leaf100000 = [...Array.from({ length: 10 }, () => 100_000), 48_576];

/** Every setting that peers see of each other; the rest is the command line's. */
const PROBES: Partial<Record<SettingKey, Probe>> = {
  node_name: {
    json: "узел-7",
    look: async (s) => (await hello(s))?.node,
    usual: "headrace",
    unusual: "узел-7",
  },
  node_role: {
    json: "coordinator",
    look: async (s) => (await hello(s))?.role,
    usual: "mixed",
    unusual: "coordinator",
  },
  use_streaming_protocol: {
    json: false,
    look: lengths,
    usual: [...RAW_LEAVES, LAST_BYTES],
    unusual: [ZEROS.byteLength],
  },
  chunk_size: {
    json: 100_000,
    look: lengths,
    usual: [...RAW_LEAVES, LAST_BYTES],
    unusual: [...leaf100000, ...leaf100000, ...leaf100000, ...leaf100000, LAST_BYTES],
  },
  enable_compression: {
    json: false,
    look: async (s) => {
      const { chunks, hello: said } = await served(s);
      return { codecs: said?.codecs, isAnyCompressed: chunks.some((chunk) => chunk.codec > 0) };
    },
    usual: { codecs: ["deflate"], isAnyCompressed: true },
    unusual: { codecs: [], isAnyCompressed: false },
  },
  compression_threshold: {
    json: 60_000,
    look: async (s) => (await served(s)).chunks.slice(-2).map(({ codec }) => codec),
    usual: [1, 1],
    unusual: [1, 0],
  },
  max_retries: {
    json: 7,
    look: async (s) => (await failedDials(s)).dials,
    usual: 4,
    unusual: 8,
  },
  retry_base_delay: {
    json: 40,
    look: async (s) => (await failedDials(s)).pausesMs,
    usual: [450, 900, 1800],
    unusual: [36, 72, 144],
  },
  retry_max_delay: {
    json: 600,
    look: async (s) => (await failedDials(s)).pausesMs,
    usual: [450, 900, 1800],
    unusual: [450, 540, 540],
  },
  retry_backoff_factor: {
    json: 3,
    look: async (s) => (await failedDials(s)).pausesMs,
    usual: [450, 900, 1800],
    unusual: [450, 1350, 4050],
  },
  retry_jitter_factor: {
    json: 0.5,
    look: async (s) => (await failedDials(s)).pausesMs,
    usual: [450, 900, 1800],
    unusual: [250, 500, 1000],
  },
  digest: {
    json: "none",
    look: async (s) => {
      const { server, verified } = await exchange(DEFAULT_SETTINGS, s, ZEROS);
      return [server.offers.map(({ digest }) => digest), verified];
    },
    usual: [["sha256"], "root"],
    unusual: [["none"], "checksums"],
  },
  transfer_window: {
    json: "2MiB",
    look: unreadBytes,
    usual: 8 * MiB,
    unusual: 2 * MiB,
  },
  connection_window: {
    json: 12_345_678,
    look: async (s) => (await hello(s))?.connectionCredit,
    usual: 64 * MiB,
    unusual: 12_345_678,
  },
  max_tensor_size: {
    json: "4MiB",
    look: async (s) => {
      const { error } = await exchange(DEFAULT_SETTINGS, s, ZEROS);
      return error instanceof LimitError;
    },
    usual: false,
    unusual: true,
  },
  max_prefetch_size: { json: "300KiB", look: keptPrefetches, usual: 2, unusual: 1 },
  max_transfers: {
    json: 17,
    look: async (s) => (await hello(s))?.maxTransfers,
    usual: 1024,
    unusual: 17,
  },
  idle_timeout: { json: "10s", look: silentMs, usual: 30_000, unusual: 10_000 },
  stall_timeout: { json: "15s", look: stalledMs, usual: 60_000, unusual: 15_000 },
};

/** Settings that the command line acts on, where its tests look for them; one codec is all there is. */
const ELSEWHERE: readonly SettingKey[] = [
  "enabled",
  "checkpoint_max_age",
  "checkpoint_max_bytes",
  "codecs",
  "connect_timeout",
  "token_file",
  "ca_file",
  "pin_sha256",
  "cert_file",
  "key_file",
  "log_level",
];

interface Range {
  readonly least: number;
  readonly most?: number;
}

const OLLAMA_FILE = {
  enabled: true,
  node_name: "worker-node-1",
  node_role: "worker",
  cluster_port: 12094,
  tensor_protocol: {
    use_streaming_protocol: true,
    chunk_size: 100_000,
    enable_compression: true,
    compression_threshold: 60_000,
    max_retries: 5,
    retry_base_delay: 40,
  },
};

export const settingsOnTheWireSuite: Suite = ({ test }) => {
  test("settings on the wire: every setting is looked at, here or where the command line is", () => {
    assert.sameMembers([...Object.keys(PROBES), ...ELSEWHERE], Object.keys(SETTING_KEYS));
  });

  for (const [key, { json, look, usual, unusual }] of Object.entries(PROBES)) {
    const { environment, section } = SETTING_KEYS[key as SettingKey];
    test(`settings on the wire: ${key} from a file and from ${environment}`, async () => {
      assert.deepEqual(await look(DEFAULT_SETTINGS), usual, "the default");
      const content = section === "top" ? { [key]: json } : { tensor_protocol: { [key]: json } };
      const file = { name: "cluster.json", text: JSON.stringify(content) };
      assert.deepEqual(await look(resolveSettings({ file }).settings), unusual, "the file");
      const said = { [environment]: String(json) };
      const { settings } = resolveSettings({ environment: said });
      assert.deepEqual(await look(settings), unusual, environment);
    });
  }

  test("settings on the wire: a file of Ollama's cluster mode, all of it at once", async () => {
    const file = { name: "cluster.json", text: JSON.stringify(OLLAMA_FILE) };
    const { settings } = resolveSettings({ file });
    const { hello: said, chunks } = await served(settings);
    assert.include(said, { node: "worker-node-1", role: "worker" });
    assert.deepEqual(
      chunks.map(({ rawBytes }) => rawBytes),
      [...leaf100000, ...leaf100000, ...leaf100000, ...leaf100000, LAST_BYTES],
    );
    assert.isTrue(chunks.some(({ rawBytes, codec }) => rawBytes === 100_000 && codec === 1));
    assert.isTrue(chunks.every(({ rawBytes, codec }) => rawBytes >= 60_000 || codec === 0));
    assert.deepEqual(await failedDials(settings), {
      dials: 6,
      pausesMs: [36, 72, 144, 288, 576],
    });
  });

  test("settings on the wire: without streaming a tensor begins anew after a cut", async () => {
    const ways = { streaming: { least: 8 * MiB, most: 10 * MiB }, whole: { least: 14 * MiB } };
    for (const [way, { least, most = Infinity }] of Object.entries<Range>(ways)) {
      const settings = {
        ...DEFAULT_SETTINGS,
        useStreamingProtocol: way === "streaming",
        compressionEnabled: false,
        retryBaseDelayMs: 0,
      };
      const source = new TestSource(new Uint8Array(8 * MiB));
      const place = new Place({ ...peerOptions(settings), store: storeOf([ADDRESS, source]) });
      let passedBytes = 0;
      let isCut = false;
      const connect = async () => {
        const connection = await place.connect();
        const counter = new TransformStream<Uint8Array, Uint8Array>({
          transform(bytes, controller) {
            passedBytes += bytes.byteLength;
            controller.enqueue(bytes);
            if (isCut || passedBytes < 6 * MiB) return;
            isCut = true;
            cut(place);
          },
        });
        const readable = connection.readable.pipeThrough(counter);
        const { writable, remote, closed } = connection;
        const close = (reason: unknown) => connection.close(reason);
        return { readable, writable, remote, closed, close };
      };
      const peer = new TensorPeer(connect, peerOptions(settings));
      const transfer = peer.requestTensor(ADDRESS, { into: "memory" });
      await transfer.done;
      assert.equal(transfer.progress.retries, 1);
      assert.isAtLeast(passedBytes, least, way);
      assert.isAtMost(passedBytes, most, way);
      await peer.close();
      await place.close();
    }
  });

  test("settings on the wire: without streaming a tensor over 64 MiB is a limit error at once", async () => {
    const settings = { ...DEFAULT_SETTINGS, useStreamingProtocol: false };
    const source = new TestSource(new Uint8Array(0));
    Object.assign(source, {
      descriptor: new ByteSource(new Uint8Array(64 * MiB + 1), {
        dtype: "U8",
        shape: [64 * MiB + 1],
      }).descriptor,
    });
    const place = new Place({ store: storeOf([ADDRESS, source]) });
    const peer = new TensorPeer(place.connect, peerOptions(settings));
    const { done } = peer.requestTensor(ADDRESS, { into: "memory" });
    await assertRejects(() => done, LimitError, /67108864/);
    assert.equal(source.readBytes, 0);
    await peer.close();
    await place.close();
  });
};
