import { assert } from "chai";
import type { Connect, Connection } from "../../lib/connection.ts";
import { ByteSource } from "../../lib/session/byte_source.ts";
import { PeerHost } from "../../lib/session/host.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import type { Transfer } from "../../lib/session/transfer.ts";
import { createFaultProxy } from "../../lib/testing/fault_proxy.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import type { Suite } from "../harness.ts";
import { tcpAdapterOf } from "../transports/adapter.ts";
import { firstDifference } from "./torture/content.ts";

const MiB = 1024 * 1024;
const TENSOR_BYTES = 96 * MiB + 4321;
const CUTS = 50;
const MOST_BYTES_TO_A_CUT = 3.5 * MiB;
/** Of what came over one connection. */
const MOST_LOST_BYTES = 16 * MiB;
/** Of what came over all of them: leaves that were not whole, and those being verified. */
const MOST_LOST_OF_ALL_BYTES = CUTS * 1.5 * MiB;
const ADDRESS = { model: "m", partition: "default", tensor: "w" };

/** What had come and what was verified of it, when a connection was dialled. */
interface Mark {
  readonly receivedBytes: number;
  readonly verifiedBytes: number;
}

export const fiftyCutsSuite: Suite = ({ test, runtime }) => {
  test("fault proxy: a pull cut fifty times over TCP ends in the same bytes, and little comes twice", async () => {
    const { connect, listen } = tcpAdapterOf(runtime);
    const random = new SeededRandom(50);
    const content = random.bytes(TENSOR_BYTES);
    const source = new ByteSource(content, { dtype: "U8", shape: [TENSOR_BYTES] });
    const store = { async *list() {}, open: async () => source };
    const server = await listen("tcp://127.0.0.1:0");
    const accepted: Connection[] = [];
    /** By the servers' own count, for each connection. */
    const sentBytes: number[] = [];
    const host = new PeerHost(server.connections, {
      peer: (connection) => {
        accepted.push(connection);
        return { store, codecs: [] };
      },
      onEnd: (peer, connection) => {
        sentBytes[accepted.indexOf(connection)] = peer.sentBytes;
      },
    });
    const proxy = createFaultProxy({
      listener: await listen("tcp://127.0.0.1:0"),
      connect: (signal) => connect(server.url, { signal }),
      plan: {
        connections: Array.from({ length: CUTS }, () => ({
          down: [{ kind: "cut", atByte: random.below(MOST_BYTES_TO_A_CUT) }],
        })),
      },
    });
    const marks: Mark[] = [];
    let transfer: Transfer | undefined;
    const mark = (): void => {
      const verifiedBytes = transfer?.progress.bytes ?? 0;
      marks.push({ receivedBytes: client.receivedBytes, verifiedBytes });
    };
    const dial: Connect = (signal) => {
      mark();
      return connect(proxy.url, { signal });
    };
    const retry = { maxRetries: "unlimited", baseDelayMs: 0, maxDelayMs: 0 } as const;
    const client = new TensorPeer(dial, { codecs: [], retry });
    transfer = client.requestTensor(ADDRESS, { into: "memory" });
    assert.equal(firstDifference(await transfer.bytes(), content), -1);
    mark();
    await client.close();
    await host.close();
    await proxy.close();
    await server.close();

    assert.lengthOf(accepted, CUTS + 1);
    assert.equal(transfer.progress.retries, CUTS);
    let inFlightBytes = 0;
    for (let n = 0; n <= CUTS; n++) {
      const [before, after] = [marks[n] as Mark, marks[n + 1] as Mark];
      const cameBytes = after.receivedBytes - before.receivedBytes;
      const lostBytes = cameBytes - (after.verifiedBytes - before.verifiedBytes);
      assert.isAtMost(lostBytes, MOST_LOST_BYTES, `by the cut of connection ${n}`);
      inFlightBytes += (sentBytes[n] as number) - cameBytes;
    }
    const allSentBytes = sentBytes.reduce((sum, bytes) => sum + bytes, 0);
    const againBytes = allSentBytes - TENSOR_BYTES;
    assert.isAtMost(againBytes, inFlightBytes + MOST_LOST_OF_ALL_BYTES);
  });
};
