import { assert } from "chai";
import type { Connection } from "../../lib/connection.ts";
import { deferred, News } from "../../lib/deferred.ts";
import { NotFoundError } from "../../lib/errors.ts";
import { ByteSource } from "../../lib/session/byte_source.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import type { TensorPeerOptions } from "../../lib/session/peer_options.ts";
import type { Transfer } from "../../lib/session/transfer.ts";
import type { TensorDescriptor } from "../../lib/tensor/descriptor.ts";
import type { SinkStore } from "../../lib/tensor/sink.ts";
import type { StoreChange, TensorSource, TensorStore } from "../../lib/tensor/source.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { sameBytes } from "../streams/support.ts";
import {
  type TranscriptName,
  transcriptAddress,
  transcriptChunkBytes,
  transcriptContent,
  transcriptId,
  transcripts,
  transcriptVersion,
} from "../wire/transcript_vectors.ts";
import { ScriptedEnd } from "./support/scripted_end.ts";
import { LEAF, TestSink, TestSource } from "./support/tensors.ts";
import { type Role, TranscriptPlayer } from "./support/transcript_player.ts";

const utf8 = new TextEncoder();
const PULLS = {
  pull: 70_000,
  small_pull: 300,
  resumed_pull: 2 * LEAF + 3000,
} as const;
const PUSHED_BYTES = LEAF + 3000;

/** What the transcripts' tensors are read from. */
class TranscriptSource extends TestSource {
  override async version(): Promise<Uint8Array> {
    return transcriptVersion;
  }
}

const sourceOf = (byteLength: number) =>
  new TranscriptSource(transcriptContent.subarray(0, byteLength));

/** One tensor that can change and go, and tells. */
class OneTensorStore implements TensorStore {
  #source: TensorSource | undefined;
  #onChange: (change: StoreChange) => void = () => {};

  constructor(source: TensorSource) {
    this.#source = source;
  }

  change(source: TensorSource | undefined): void {
    this.#source = source;
    this.#onChange({ kind: source ? "changed" : "gone", address: transcriptAddress });
  }

  async *list() {
    if (!this.#source) return;
    const { descriptor } = this.#source;
    yield { address: transcriptAddress, descriptor, version: await this.#source.version() };
  }

  async open(): Promise<TensorSource> {
    if (this.#source) return this.#source;
    throw new NotFoundError("It is gone");
  }

  watch(_: unknown, onChange: (change: StoreChange) => void): () => void {
    this.#onChange = onChange;
    return () => {};
  }
}

/** A peer that dials, and the other ends of its connections, one after another. */
function dialling(options: TensorPeerOptions = {}) {
  const ends: ScriptedEnd[] = [];
  const news = new News();
  const connect = async (): Promise<Connection> => {
    const [near, far] = connectionPair();
    ends.push(new ScriptedEnd(far));
    news.tell();
    return near;
  };
  const retry = { baseDelayMs: 0 };
  const chunkBytes = transcriptChunkBytes;
  const peer = new TensorPeer(connect, {
    node: "dialler",
    codecs: [],
    chunkBytes,
    retry,
    ...options,
  });
  const next = async (): Promise<ScriptedEnd> => {
    for (let end = ends.shift(); ; end = ends.shift()) {
      if (end) return end;
      await news.wait();
    }
  };
  return { peer, next };
}

/** Makes a peer that accepts for each connection of a transcript. */
function accepting(options: TensorPeerOptions): {
  readonly connect: () => ScriptedEnd;
  readonly peers: readonly TensorPeer[];
} {
  const peers: TensorPeer[] = [];
  const connect = (): ScriptedEnd => {
    const [near, far] = connectionPair();
    const chunkBytes = transcriptChunkBytes;
    const own = { node: "accepter", codecs: [], chunkBytes, accepted: true };
    const peer = new TensorPeer(far, { ...own, ...options });
    peer.closed.catch(() => {});
    peers.push(peer);
    return new ScriptedEnd(near);
  };
  return { connect, peers };
}

const play = (role: Role, name: TranscriptName): Promise<void> =>
  new TranscriptPlayer(role, transcriptId).play(transcripts[name]);

export const sessionTranscriptsSuite: Suite = ({ test }) => {
  for (const name of Object.keys(PULLS) as (keyof typeof PULLS)[]) {
    test(`transcript: a peer that asks says what ${name} has of the dialler`, async () => {
      const { peer, next } = dialling();
      const transfer = peer.requestTensor(transcriptAddress, { into: "memory" });
      let closing: Promise<void> | undefined;
      const before = async (kind: string): Promise<void> => {
        if (kind !== "goodbye") return;
        const bytes = await transfer.bytes();
        assert.isTrue(sameBytes(bytes, transcriptContent.subarray(0, PULLS[name])));
        closing = peer.close();
      };
      await play({ end: "dialler", connect: next, before }, name);
      assert.equal(transfer.verified, "root");
      assert.equal(transfer.progress.retries, name === "resumed_pull" ? 1 : 0);
      await closing;
    });

    test(`transcript: a peer that serves says what ${name} has of the accepter`, async () => {
      const source = sourceOf(PULLS[name]);
      const { connect, peers } = accepting({ store: new OneTensorStore(source) });
      await play({ end: "accepter", connect }, name);
      await peers.at(-1)?.closed;
      for (const peer of peers) assert.isEmpty(peer.transfers);
    });
  }

  test("transcript: a peer that pushes and thinks better of it says what cancelled_push has of the dialler", async () => {
    const { peer, next } = dialling();
    const source = sourceOf(PUSHED_BYTES);
    const go = deferred<void>();
    // The last leaf is not there yet when the transfer is cancelled.
    source.onRead = (byteOffset) => (byteOffset >= LEAF ? go.promise : undefined);
    const transfer = peer.streamTensor(transcriptAddress, source);
    transfer.done.catch(() => {});
    let closing: Promise<void> | undefined;
    const before = (kind: string): void => {
      if (kind === "cancel") transfer.cancel();
      if (kind === "goodbye") closing = peer.close();
    };
    await play({ end: "dialler", connect: next, before }, "cancelled_push");
    assert.equal(transfer.status, "cancelled");
    go.resolve();
    await closing;
  });

  test("transcript: a peer that takes pushes says what cancelled_push has of the accepter", async () => {
    const sinks: TestSink[] = [];
    const store: SinkStore = {
      async accept(_, descriptor: TensorDescriptor) {
        sinks.push(new TestSink(descriptor));
        return sinks[0] as TestSink;
      },
    };
    let transfer: Transfer | undefined;
    const onTransfer = (one: Transfer): void => {
      transfer = one;
      one.done.catch(() => {});
    };
    const { connect, peers } = accepting({ sinks: store, onTransfer });
    await play({ end: "accepter", connect }, "cancelled_push");
    await peers[0]?.closed;
    await assertRejects(async () => transfer?.done, Error, /cancelled/);
    assert.equal(transfer?.status, "cancelled");
    assert.deepEqual(sinks[0]?.written, [0]);
    assert.equal(sinks[0]?.committed_, 0);
    assert.equal(sinks[0]?.released, 1);
  });

  test("transcript: a peer that subscribes says what subscription has of the dialler", async () => {
    const { peer, next } = dialling();
    const subscription = peer.subscribe("gpt2", { initial: true });
    const changes = subscription[Symbol.asyncIterator]();
    const kinds: string[] = [];
    let closing: Promise<void> | undefined;
    const after = async (kind: string): Promise<void> => {
      if (kind !== "notify") return;
      const change = await changes.next();
      if (!change.done) kinds.push(change.value.kind);
    };
    const before = (kind: string): void => {
      if (kind === "unsubscribe") void subscription.close();
      if (kind === "goodbye") closing = peer.close();
    };
    await play({ end: "dialler", connect: next, before, after }, "subscription");
    assert.deepEqual(kinds, ["here", "changed", "gone"]);
    await closing;
  });

  test("transcript: a peer that tells says what subscription has of the accepter", async () => {
    const versioned = (byteLength: number, version: string): TensorSource => {
      const bytes = transcriptContent.subarray(0, byteLength);
      const source = new ByteSource(bytes, { dtype: "U8", shape: [byteLength] });
      source.version = async () => utf8.encode(version);
      return source;
    };
    const store = new OneTensorStore(versioned(300, "one"));
    const { connect, peers } = accepting({ store });
    const before = (kind: string, nth: number): void => {
      if (kind !== "notify") return;
      if (nth === 2) store.change(versioned(400, "two"));
      if (nth === 3) store.change(undefined);
    };
    await play({ end: "accepter", connect, before }, "subscription");
    await peers[0]?.closed;
  });
};
