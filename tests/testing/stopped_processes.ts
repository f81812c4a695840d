import { assert } from "chai";
import type { Connect } from "../../lib/connection.ts";
import { deferred } from "../../lib/deferred.ts";
import { RetryExhaustedError, TransportError } from "../../lib/errors.ts";
import { PeerHost } from "../../lib/session/host.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import type { Transfer } from "../../lib/session/transfer.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { type Child, startChild } from "../checkpoint/child.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { settle } from "../session/support/manual_clock.ts";
import { storeOf, TestSink, TestSource } from "../session/support/tensors.ts";
import { tcpAdapterOf } from "../transports/adapter.ts";
import { ADDRESS, peerOptions } from "./support/stopped_peer.ts";
import { firstDifference } from "./torture/content.ts";

const MiB = 1024 * 1024;
const SEED = 12;
/** Much more than may be on its way at once, so that a stop falls into the middle. */
const TENSOR_BYTES = 40 * MiB + 77;
const STOP_AFTER_LEAVES = 6;
const MOST_AGAIN_BYTES = 16 * MiB;
/** What a peer and its kernels may have on their way when they are stopped. */
const MOST_IN_FLIGHT_BYTES = 12 * MiB;

const content = (): Uint8Array => new SeededRandom(SEED).bytes(TENSOR_BYTES);

/** Runs `body` with a process that is there no more afterwards, whatever happens. */
async function withChild(
  mode: string,
  runtime: string,
  body: (child: Child) => Promise<void>,
  ...rest: readonly string[]
): Promise<void> {
  const args = [mode, runtime, `${SEED}`, `${TENSOR_BYTES}`, ...rest];
  const child = startChild("peer_process", args, import.meta.url);
  try {
    await body(child);
  } finally {
    await child.kill();
  }
}

/** Calls back once, when so many leaves have been read or written. */
function afterLeaves(leaves: number, callback: () => void): () => void {
  let count = 0;
  return () => {
    if (++count === leaves) callback();
  };
}

/** A process that stops once it has moved some leaves. */
class Stopping {
  isStopped = false;
  readonly onLeaf: () => void;

  constructor(child: Child) {
    this.onLeaf = afterLeaves(STOP_AFTER_LEAVES, () => {
      this.isStopped = true;
      child.stop();
    });
  }
}

export const stoppedProcessesSuite: Suite = ({ test, runtime }) => {
  const { connect, listen } = tcpAdapterOf(runtime);

  /** Pulls from or pushes into a process, which is stopped in the middle. */
  const moveWithStop = async (
    way: "pull" | "push",
    child: Child,
    maxRetries: number,
    then: (moving: {
      readonly peer: TensorPeer;
      readonly transfer: Transfer;
      readonly sink: () => TestSink | undefined;
      readonly dialledAgain: Promise<void>;
    }) => Promise<void>,
  ): Promise<void> => {
    const url = await child.line();
    const stopping = new Stopping(child);
    const dialledAgain = deferred<void>();
    const dial: Connect = (signal) => {
      if (stopping.isStopped) dialledAgain.resolve();
      return connect(url, { signal });
    };
    const peer = new TensorPeer(dial, peerOptions(maxRetries));
    const { onLeaf } = stopping;
    const source = new TestSource(content());
    source.onRead = onLeaf;
    let sink: TestSink | undefined;
    const transfer =
      way === "push"
        ? peer.streamTensor(ADDRESS, source)
        : peer.requestTensor(ADDRESS, {
            into: ({ descriptor }) => {
              sink ??= new TestSink(descriptor);
              sink.onWrite = onLeaf;
              return sink;
            },
          });
    await then({ peer, transfer, sink: () => sink, dialledAgain: dialledAgain.promise });
    assert.isEmpty(peer.transfers);
    await peer.close();
    assert.equal(sink?.released, sink?.begun);
  };

  for (const way of ["pull", "push"] as const) {
    test(`stopped processes: a ${way} goes on when its server does, after it was given up`, () =>
      withChild("accept", runtime, (child) =>
        moveWithStop(way, child, 20, async ({ peer, transfer, sink, dialledAgain }) => {
          await dialledAgain;
          child.continue();
          await transfer.done;
          assert.isAtLeast(transfer.progress.retries, 1);
          if (way === "push") assert.equal(await child.line(), "committed true");
          else assert.equal(firstDifference(sink()?.bytes ?? new Uint8Array(), content()), -1);
          const moved = way === "push" ? peer.sentBytes : peer.receivedBytes;
          const most = TENSOR_BYTES + MOST_AGAIN_BYTES + MOST_IN_FLIGHT_BYTES;
          assert.isAtMost(moved, most, "nothing begins anew");
        }),
      ));

    test(`stopped processes: a ${way} ends in a typed error when its server stays stopped`, () =>
      withChild("accept", runtime, (child) =>
        moveWithStop(way, child, 1, async ({ transfer }) => {
          const error = await assertRejects(() => transfer.done, RetryExhaustedError, /Gave up/);
          assert.instanceOf(error.cause, TransportError);
          assert.equal(transfer.status, "failed");
        }),
      ));

    test(`stopped processes: who ${way === "pull" ? "pulls" : "pushes"} is given up while stopped, and goes on afterwards`, async () => {
      const listener = await listen("tcp://127.0.0.1:0");
      const source = new TestSource(content());
      let sink: TestSink | undefined;
      let accepted = 0;
      const ended = deferred<{ peer: TensorPeer; error: unknown }>();
      let stopping: Stopping | undefined;
      source.onRead = () => stopping?.onLeaf();
      const host = new PeerHost(listener.connections, {
        peer: () => ({
          ...peerOptions(0),
          store: storeOf([ADDRESS, source]),
          sinks: {
            async accept(_address, descriptor) {
              accepted++;
              sink ??= new TestSink(descriptor);
              sink.onWrite = () => stopping?.onLeaf();
              return sink;
            },
          },
        }),
        onEnd: (peer, _connection, error) => {
          if (stopping?.isStopped) ended.resolve({ peer, error });
        },
      });
      await withChild(
        way,
        runtime,
        async (child) => {
          stopping = new Stopping(child);
          const { peer, error } = await ended.promise;
          assert.instanceOf(error, TransportError);
          await settle();
          assert.isEmpty(peer.transfers);
          assert.equal(source.opened, source.closed);
          assert.equal(sink?.released ?? 0, accepted);
          child.continue();
          const [verdict, retries, isRight] = (await child.line()).split(" ");
          assert.deepEqual([verdict, isRight], ["done", "true"]);
          assert.isAtLeast(Number(retries), 1);
          if (sink) assert.equal(firstDifference(sink.bytes, content()), -1);
        },
        listener.url,
      );
      await host.close();
      await listener.close();
    });
  }
};
