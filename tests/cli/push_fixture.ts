// Models on disk, a peer that accepts pushes over real TCP, and pushes into it.
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "chai";
import { AcceptStore } from "../../lib/cli/accept_store.ts";
import { type PushSummary, push } from "../../lib/cli/push.ts";
import type { Report } from "../../lib/cli/report.ts";
import { connectorOf, listenOn } from "../../lib/cli/runtime.ts";
import type { Connection, Listener } from "../../lib/connection.ts";
import { encodeHeader } from "../../lib/formats/safetensors/encode_header.ts";
import { PeerHost } from "../../lib/session/host.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import type { TensorPeerOptions } from "../../lib/session/peer_options.ts";
import type { Transfer } from "../../lib/session/transfer.ts";
import type { TensorAddress } from "../../lib/tensor/address.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import type { SinkStore } from "../../lib/tensor/sink.ts";
import { bytesOf } from "../checkpoint/staging_fixture.ts";

export const SHARD_BYTES: number = 4 * 1_200_000;
const QUIET: Report = { event() {}, progress() {}, failure() {}, close() {} };

/** A safetensors file of four U8 tensors. */
export function shardOf(seed: number): Uint8Array {
  const descriptor = createDescriptor("U8", [SHARD_BYTES / 4]);
  const header = encodeHeader(["a", "b", "c", "d"].map((name) => ({ name, descriptor })));
  const file = new Uint8Array(header.fileBytes);
  file.set(header.raw);
  file.set(bytesOf(SHARD_BYTES, seed), header.raw.byteLength);
  return file;
}

/** A folder of three shards and a side file. */
export async function makeModel(folder: string, seed: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (let n = 1; n <= 3; n++) {
    await writeFile(join(folder, `w-${n}-of-3.safetensors`), shardOf(seed + n));
  }
  await writeFile(join(folder, "config.json"), JSON.stringify({ seed }));
}

/** Fails unless both folders hold the same files with the same bytes, and nothing else. */
export async function assertSameFiles(folder: string, wanted: string): Promise<void> {
  const names = (await readdir(wanted)).sort();
  assert.deepEqual((await readdir(folder)).sort(), names);
  for (const name of names) {
    const [found, source] = [
      await readFile(join(folder, name)),
      await readFile(join(wanted, name)),
    ];
    assert.isTrue(found.equals(source), `${name} differs`);
  }
}

/** A peer that takes pushes. */
export interface Accepting {
  readonly url: string;
  readonly host: PeerHost;
  /** Told of each tensor that has arrived, with the number of those before it. */
  onArrived: (count: number, transfer: Transfer) => void;
  /** Asked before a tensor is accepted; holds it back until its promise is kept. */
  beforeAccept: (address: TensorAddress) => Promise<void> | undefined;
}

/** A promise that is never kept: what waits for it comes no further. */
export const NEVER: Promise<void> = new Promise(() => {});

/** Runs `body` beside a peer that accepts pushes into the folder; `undefined` accepts none. */
export async function withAccepting(
  folder: string | undefined,
  body: (accepting: Accepting) => Promise<void>,
): Promise<void> {
  const [listener] = (await listenOn("tcp://127.0.0.1:0", {})) as [Listener];
  const store = folder === undefined ? undefined : new AcceptStore(folder);
  let arrived = 0;
  const onTransfer = (transfer: Transfer) => {
    transfer.done.then(
      () => accepting.onArrived(arrived++, transfer),
      () => {},
    );
  };
  const peer = () => {
    const session = store?.session();
    if (!session) return { onTransfer };
    const accept: SinkStore["accept"] = async (address, ...rest) => {
      await accepting.beforeAccept(address);
      return session.accept(address, ...rest);
    };
    return { sinks: { accept }, onTransfer };
  };
  const host = new PeerHost(listener.connections, { peer });
  const accepting: Accepting = {
    url: listener.url,
    host,
    onArrived() {},
    beforeAccept: () => undefined,
  };
  try {
    await body(accepting);
  } finally {
    await listener.close();
    await host.close();
    await store?.close();
  }
}

/** A peer that dials, and its connections so far. */
export function dialling(
  url: string,
  options: TensorPeerOptions = {},
): { readonly peer: TensorPeer; readonly connections: Connection[] } {
  const connections: Connection[] = [];
  const retry = { baseDelayMs: 10, maxRetries: 3 };
  const peer = new TensorPeer(
    async (signal) => {
      const connect = await connectorOf(url);
      const connection = await connect(signal);
      connections.push(connection);
      return connection;
    },
    { codecs: [], retry, ...options },
  );
  return { peer, connections };
}

/** Pushes with a peer of its own, or the given one. */
export async function pushFrom(
  path: string,
  url: string,
  options: {
    readonly model?: string;
    readonly signal?: AbortSignal;
    readonly peer?: TensorPeer;
  } = {},
): Promise<PushSummary & { readonly sentBytes: number }> {
  const peer = options.peer ?? dialling(url).peer;
  const { model, signal = new AbortController().signal } = options;
  try {
    const summary = await push(peer, { path, model, priority: 50, report: QUIET, signal });
    return { ...summary, sentBytes: peer.sentBytes };
  } finally {
    await peer.close();
  }
}
