// One run: moves tensors over a link full of faults, and says what became of them and what was left.

import { deflate } from "../../../lib/codec/deflate.ts";
import type { Connect, Connection } from "../../../lib/connection.ts";
import { MemorySink } from "../../../lib/session/memory_sink.ts";
import { TensorPeer } from "../../../lib/session/peer.ts";
import type { TensorPeerOptions } from "../../../lib/session/peer_options.ts";
import type { Transfer } from "../../../lib/session/transfer.ts";
import { ChecksumStream } from "../../../lib/streams/checksum_stream.ts";
import { ChunkerStream } from "../../../lib/streams/chunker_stream.ts";
import { CompressorStream } from "../../../lib/streams/compressor_stream.ts";
import { FrameEncoderStream } from "../../../lib/streams/frame_encoder_stream.ts";
import { retryingWriter } from "../../../lib/streams/retrying_writer.ts";
import type { TensorAddress } from "../../../lib/tensor/address.ts";
import { createDescriptor, type TensorDescriptor } from "../../../lib/tensor/descriptor.ts";
import type { Fault } from "../../../lib/testing/fault.ts";
import type { TcpAdapter } from "../../transports/adapter.ts";
import { contentOf, firstDifference } from "./content.ts";
import { CountedSinks, CountedStore, sourceOf, versionOf } from "./counted_stores.ts";
import { CountingClock } from "./counting_clock.ts";
import { type Found, Judge, nameOf } from "./judge.ts";
import type { Scenario, TransferPlan } from "./scenario.ts";
import { OpenConnections, openLink, type TortureLink } from "./torture_link.ts";

/** What became of a run. */
export interface RunReport {
  /** How each transfer ended: `complete`, `cancelled`, or the code of its final error. */
  readonly outcomes: readonly string[];
  /** Codes of the errors that ended connections, as the accepting end has them. */
  readonly linkErrors: readonly string[];
  readonly happened: readonly Fault[];
  readonly connections: number;
  readonly movedBytes: number;
  readonly retries: number;
  /** What must not be; empty when all is well. */
  readonly problems: readonly string[];
}

const LIMITS = {
  pingIntervalMs: 150,
  idleTimeoutMs: 600,
  stallTimeoutMs: 1500,
  helloTimeoutMs: 600,
  connectTimeoutMs: 2000,
};
/** More than any chunk has. */
const NEVER_BYTES = 2 ** 31;
/** How long what is closed may take to be gone. */
const LEAVE_MS = 5000;

const addressOf = (n: number): TensorAddress => ({
  model: "torture",
  partition: "default",
  tensor: `t${n}`,
});

/** Runs a scenario to its end. */
export async function runScenario(scenario: Scenario, tcp: TcpAdapter): Promise<RunReport> {
  const clock = new CountingClock();
  const link = await openLink(scenario, clock, tcp);
  return new Run(scenario, clock, link).go();
}

class Run {
  readonly #scenario: Scenario;
  readonly #clock: CountingClock;
  readonly #link: TortureLink;
  readonly #store = new CountedStore();
  readonly #sinks = new CountedSinks();
  readonly #connections = new OpenConnections();
  readonly #servers: TensorPeer[] = [];
  readonly #linkErrors: string[] = [];
  readonly #judge = new Judge();
  readonly #asked: Promise<string>[] = [];
  readonly #connect: Connect;
  readonly #client: TensorPeer;
  #retries = 0;

  constructor(scenario: Scenario, clock: CountingClock, link: TortureLink) {
    this.#scenario = scenario;
    this.#clock = clock;
    this.#link = link;
    for (const [n, plan] of scenario.transfers.entries()) {
      this.#store.add(addressOf(n), sourceOf(contentOf(plan), n, plan.hasView));
    }
    this.#connect = async (signal) => this.#connections.add(await link.connect(signal));
    this.#client = new TensorPeer(this.#connect, this.#peerOptions());
  }

  async go(): Promise<RunReport> {
    const accepting = this.#accept();
    const waiting = [...this.#scenario.transfers.entries()];
    const outcomes: string[] = [];
    const lane = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const [n, plan] = next;
        outcomes[n] = await this.#judge.inTime(`transfer ${n}`, () => this.#begin(n, plan));
      }
    };
    await Promise.all(Array.from({ length: this.#scenario.concurrent }, lane));
    for (const asked of this.#asked) {
      outcomes.push(`asked back: ${await this.#judge.inTime("a tensor asked back", () => asked)}`);
    }
    const happened = this.#link.happened();
    await this.#judge.inTime("closing", async () => {
      await Promise.all([this.#client.close(), ...this.#servers.map((server) => server.close())]);
      await this.#link.close();
      await accepting;
      return "closed";
    });
    await this.#lookForLeaks();
    return {
      outcomes,
      linkErrors: this.#linkErrors,
      happened,
      connections: this.#connections.total,
      movedBytes: this.#judge.movedBytes,
      retries: this.#retries,
      problems: this.#judge.problems,
    };
  }

  #peerOptions(): TensorPeerOptions {
    const { chunkBytes, isCompressed, windowBytes, maxRetries, baseDelayMs } = this.#scenario;
    return {
      store: this.#store,
      sinks: this.#sinks,
      chunkBytes,
      codecs: isCompressed ? [deflate] : [],
      limits: { ...LIMITS, transferWindowBytes: windowBytes },
      retry: { maxRetries, baseDelayMs, maxDelayMs: 40 },
      clock: this.#clock,
    };
  }

  async #accept(): Promise<void> {
    const reader = this.#link.listener.connections.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      this.#serve(next.value);
    }
  }

  #serve(connection: Connection): void {
    this.#connections.add(connection);
    const server = new TensorPeer(connection, { ...this.#peerOptions(), accepted: true });
    this.#servers.push(server);
    server.closed.catch((error) => {
      this.#linkErrors.push(nameOf(error));
    });
    const { asksBack, transfers } = this.#scenario;
    for (let n = 0; n < Math.min(asksBack, transfers.length); n++) {
      const asked = server.requestTensor(addressOf(n), { into: "memory" });
      const content = contentOf(transfers[n] as TransferPlan);
      this.#asked.push(this.#follow(`${n}, asked back`, asked, content, () => asked.bytes()));
    }
  }

  #begin(n: number, plan: TransferPlan): Promise<string> {
    const { cancelAfterMs } = plan;
    const stop = new AbortController();
    const reason = new Error("had enough");
    if (cancelAfterMs === undefined) return this.#move(n, plan, stop.signal, reason);
    const cancel = this.#clock.after(cancelAfterMs, () => stop.abort(reason));
    return this.#move(n, plan, stop.signal, reason).finally(cancel);
  }

  #move(n: number, plan: TransferPlan, signal: AbortSignal, reason: unknown): Promise<string> {
    const address = addressOf(n);
    const { digest, priority, way } = plan;
    const content = contentOf(plan);
    const options = { digest, priority, signal };
    const pushed = async () => this.#sinks.bytesOf(address) ?? "was never committed";
    if (way === "pipe") {
      const found = this.#pipe(n, plan, signal).then(pushed);
      return this.#judge.outcome(`transfer ${n}`, found, content, reason);
    }
    if (way === "push") {
      const source = sourceOf(content, n, plan.hasView);
      const transfer = this.#client.streamTensor(address, source, options);
      return this.#follow(`${n}`, transfer, content, () => transfer.done.then(pushed), reason);
    }
    let sink: MemorySink | undefined;
    const toSink = ({ descriptor }: { descriptor: TensorDescriptor }): MemorySink => {
      sink ??= new MemorySink(descriptor);
      return sink;
    };
    const into = plan.into === "sink" ? toSink : plan.into;
    const transfer = this.#client.requestTensor(address, { ...options, into });
    const found = {
      memory: () => transfer.bytes(),
      sink: () => transfer.done.then(() => sink?.bytes ?? "never came to its sink"),
      stream: () => this.#readAll(n, transfer, content),
    };
    return this.#follow(`${n}`, transfer, content, found[plan.into], reason);
  }

  #pipe(n: number, plan: TransferPlan, signal: AbortSignal): Promise<void> {
    const { chunkBytes, isCompressed, maxRetries, baseDelayMs } = this.#scenario;
    const { digest, byteLength } = plan;
    const descriptor = createDescriptor("U8", [byteLength]);
    const frames = { address: addressOf(n), descriptor, version: versionOf(n), digest };
    return new Blob([contentOf(plan) as Uint8Array<ArrayBuffer>])
      .stream()
      .pipeThrough(new ChunkerStream({ chunkBytes }))
      .pipeThrough(new ChecksumStream({ digest }))
      .pipeThrough(new CompressorStream(isCompressed ? {} : { thresholdBytes: NEVER_BYTES }))
      .pipeThrough(new FrameEncoderStream(frames))
      .pipeTo(
        retryingWriter(
          this.#connect,
          { maxRetries, baseDelayMs, maxDelayMs: 40 },
          { signal, limits: LIMITS, clock: this.#clock },
        ),
      );
  }

  /** Reads a stream as far as it comes: whatever ends it, what came is the tensor's beginning. */
  async #readAll(n: number, transfer: Transfer, content: Uint8Array): Promise<Uint8Array> {
    const bytes = new Uint8Array(content.byteLength);
    let at = 0;
    const reader = transfer.readable.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      const wrong = firstDifference(next.value, content.subarray(at, at + next.value.byteLength));
      if (wrong >= 0) {
        this.#judge.problems.push(`transfer ${n}: the stream has a wrong byte at ${at + wrong}`);
        break;
      }
      bytes.set(next.value, at);
      at += next.value.byteLength;
    }
    await transfer.done;
    return bytes.subarray(0, at);
  }

  async #follow(
    what: string,
    transfer: Transfer,
    content: Uint8Array,
    bytes: () => Found,
    reason?: unknown,
  ): Promise<string> {
    const outcome = await this.#judge.outcome(`transfer ${what}`, bytes(), content, reason);
    this.#retries += transfer.progress.retries;
    const wanted = { complete: "complete", cancelled: "cancelled" }[outcome] ?? "failed";
    if (transfer.status !== wanted) {
      this.#judge.problems.push(`transfer ${what}: ended ${outcome}, but says ${transfer.status}`);
    }
    return outcome;
  }

  /** What is left of a run once both ends are closed: nothing. */
  async #lookForLeaks(): Promise<void> {
    const peers = [this.#client, ...this.#servers];
    const left = () => ({
      transfers: peers.reduce((sum, { transfers }) => sum + transfers.length, 0),
      "open sources": this.#store.openSources,
      "held sinks": this.#sinks.held,
      timers: this.#clock.pending,
      connections: this.#connections.size,
    });
    const isClean = () => Object.values(left()).every((count) => count === 0);
    const untilMs = this.#clock.now() + LEAVE_MS;
    while (!isClean() && this.#clock.now() < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    for (const [what, count] of Object.entries(left())) {
      if (count !== 0) this.#judge.problems.push(`left behind: ${count} ${what}`);
    }
  }
}
