import { assert } from "chai";
import type { Connection } from "../../../../lib/connection.ts";
import { type Deferred, deferred } from "../../../../lib/deferred.ts";
import type { HeadraceError } from "../../../../lib/errors.ts";
import { PeerHost } from "../../../../lib/session/host.ts";
import { MemoryStore } from "../../../../lib/session/memory_store.ts";
import type { TensorPeer } from "../../../../lib/session/peer.ts";
import type { TensorPeerOptions } from "../../../../lib/session/peer_options.ts";
import { DigestCache } from "../../../../lib/tensor/digest_cache.ts";
import { connectionPair } from "../../../../lib/transports/memory.ts";
import { type Pair, turn } from "../../../transports/conformance.ts";
import type { Fields } from "./cbor.ts";
import { BULK, BULK_BYTES, Neighbour, SMALL, SMALL_BYTES } from "./neighbour.ts";
import { type Fault, Stranger } from "./stranger.ts";

/** What was hashed for one scene need not be for the next. */
const CACHE = new DigestCache();

/** What a connection of a stranger holds each way. */
const BUFFER_BYTES = 64 * 1024;

/** The end of a connection takes a few turns of the event loop. */
const MOST_TURNS = 500;

type ErrorKind = abstract new (...args: never[]) => HeadraceError;

/** A stranger, and the peer of the host that it is connected to. */
export class Attack {
  readonly stranger: Stranger;
  /** What the host says of the connection's end; `undefined` for one in order. */
  readonly ended: Promise<unknown>;
  /** The peer that is attacked. */
  readonly peer: TensorPeer;

  constructor(stranger: Stranger, ended: Promise<unknown>, peer: TensorPeer) {
    this.stranger = stranger;
    this.ended = ended;
    this.peer = peer;
  }

  /** The connection ends with this error, and nothing is left of it. */
  async endsWith(kind: ErrorKind, message: RegExp): Promise<HeadraceError> {
    let isOver = false;
    this.ended.then(() => {
      isOver = true;
    });
    for (let n = 0; n < MOST_TURNS && !isOver; n++) await turn();
    if (!isOver) throw new Error("The connection goes on");
    const error = await this.ended;
    if (!(error instanceof kind)) throw error ?? new Error("The connection ended in order");
    assert.match(error.message, message);
    return error;
  }

  /** As `endsWith`, and the stranger is told so on stream 0. */
  async cutOff(kind: ErrorKind, message: RegExp): Promise<Fault> {
    const error = await this.endsWith(kind, message);
    const fault = await this.stranger.fault();
    assert.equal(fault.code, error.code);
    assert.equal(fault.retryable, error.retryable);
    assert.match(fault.message, message);
    await this.stranger.ended;
    return fault;
  }

  /** Only this stream is over: the connection goes on. */
  async refused(stream: number, code: string, message: RegExp, retryable = false): Promise<void> {
    const fault = await this.stranger.fault(stream);
    assert.equal(fault.code, code);
    assert.match(fault.message, message);
    assert.equal(fault.retryable, retryable);
    await this.stranger.settled();
  }
}

/** A host, its tensors, and an honest neighbour whom nothing may disturb. */
export class Scene {
  readonly store: MemoryStore = new MemoryStore();
  readonly host: PeerHost;
  neighbour!: Neighbour;
  readonly #options: TensorPeerOptions;
  readonly #attacked = new Map<Connection, Deferred<unknown>>();
  readonly #peers = new Map<Connection, TensorPeer>();
  #arrive!: ReadableStreamDefaultController<Connection>;

  constructor(options: TensorPeerOptions, maxSilentConnections?: number) {
    this.#options = options;
    this.store.set(BULK, BULK_BYTES);
    this.store.set(SMALL, SMALL_BYTES);
    const connections = new ReadableStream<Connection>({
      start: (controller) => {
        this.#arrive = controller;
      },
    });
    const common = { store: this.store, sinks: this.store, digests: CACHE };
    this.host = new PeerHost(connections, {
      peer: (connection) => ({
        ...common,
        ...(this.#attacked.has(connection) && this.#options),
      }),
      onEnd: (peer, connection, error) => {
        this.#peers.set(connection, peer);
        this.#attacked.get(connection)?.resolve(error);
      },
      ...(maxSilentConnections !== undefined && { maxSilentConnections }),
    });
  }

  /** A stranger that has not said anything yet. */
  async connect(
    reads = true,
    pair: Pair = connectionPair({ bufferBytes: BUFFER_BYTES }),
  ): Promise<Attack> {
    const [near, far] = pair;
    const ended = deferred<unknown>();
    this.#attacked.set(far, ended);
    const before = new Set(this.host.peers);
    this.#arrive.enqueue(far);
    for (;;) {
      await turn();
      const peer = this.#peers.get(far) ?? this.host.peers.find((one) => !before.has(one));
      if (peer) return new Attack(new Stranger(near, reads), ended.promise, peer);
    }
  }

  /** A stranger that has said HELLO, and heard it unless it does not read. */
  async greeted(
    hello: Fields = {},
    reads = true,
    pair: Pair = connectionPair({ bufferBytes: BUFFER_BYTES }),
  ): Promise<Attack> {
    const attack = await this.connect(reads, pair);
    const instance = crypto.getRandomValues(new Uint8Array(16));
    const greeting = attack.stranger.greet({ instance, ...hello });
    if (reads) await greeting;
    else greeting.catch(() => {});
    await attack.peer.remoteHello();
    return attack;
  }

  /** Each of these ends a connection of its own with this error, of which the stranger is told. */
  async refusesAll(all: Iterable<Uint8Array>, kind: ErrorKind, message: RegExp): Promise<void> {
    let n = 0;
    for (const bytes of all) {
      const attack = await this.greeted();
      await attack.stranger.send(bytes);
      try {
        await attack.cutOff(kind, message);
      } catch (cause) {
        throw new Error(`Case ${n}: ${cause}`, { cause });
      }
      n++;
    }
  }

  /** Lets an honest peer begin. */
  async begin(): Promise<void> {
    const [near, far] = connectionPair();
    this.#arrive.enqueue(far);
    this.neighbour = await Neighbour.begin(near);
  }

  async end(): Promise<void> {
    this.#arrive.close();
    await this.host.close();
  }
}

/** A test's body that runs beside a neighbour, who must not notice. */
export function besideNeighbour(
  body: (scene: Scene) => Promise<void>,
  options: TensorPeerOptions = {},
  maxSilentConnections?: number,
): () => Promise<void> {
  return async () => {
    const scene = new Scene(options, maxSilentConnections);
    await scene.begin();
    try {
      await body(scene);
      await scene.neighbour.finish();
    } finally {
      scene.neighbour.leave();
      await scene.end();
    }
  };
}
