// Started by the tests that stop processes: a peer that accepts or dials, and says how it goes.
//   accept RUNTIME SEED BYTES: says where it listens, serves the tensor, and says what was pushed
//   pull RUNTIME SEED BYTES URL, push RUNTIME SEED BYTES URL: moves it and says how that ended
import process from "node:process";
import { HeadraceError } from "../../lib/errors.ts";
import { ByteSource } from "../../lib/session/byte_source.ts";
import { PeerHost } from "../../lib/session/host.ts";
import { MemorySink } from "../../lib/session/memory_sink.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { tcpAdapterOf } from "../transports/adapter.ts";
import { ADDRESS, peerOptions } from "./support/stopped_peer.ts";
import { firstDifference } from "./torture/content.ts";

const [mode, runtime = "", seed, byteLength, url = ""] = process.argv.slice(2);
const { connect, listen } = tcpAdapterOf(runtime);
const content = new SeededRandom(Number(seed)).bytes(Number(byteLength));
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const isRight = (bytes: Uint8Array): boolean => firstDifference(bytes, content) === -1;
const source = new ByteSource(content, { dtype: "U8", shape: [content.byteLength] });

/** Says when it has the tensor. */
class TellingSink extends MemorySink {
  override async commit(root: Uint8Array | undefined): Promise<void> {
    await super.commit(root);
    say(`committed ${isRight(this.bytes)}`);
  }
}

async function dial(): Promise<void> {
  const peer = new TensorPeer((signal) => connect(url, { signal }), peerOptions(8));
  try {
    if (mode === "push") {
      const transfer = peer.streamTensor(ADDRESS, source);
      await transfer.done;
      say(`done ${transfer.progress.retries} true`);
    } else {
      const transfer = peer.requestTensor(ADDRESS, { into: "memory" });
      const bytes = await transfer.bytes();
      say(`done ${transfer.progress.retries} ${isRight(bytes)}`);
    }
  } catch (error) {
    say(`failed ${error instanceof HeadraceError ? error.code : error}`);
  }
  await peer.close();
}

async function accept(): Promise<void> {
  const listener = await listen("tcp://127.0.0.1:0");
  let sink: MemorySink | undefined;
  const host = new PeerHost(listener.connections, {
    peer: () => ({
      ...peerOptions(8),
      store: { async *list() {}, open: async () => source },
      sinks: {
        async accept(_address, descriptor) {
          sink ??= new TellingSink(descriptor);
          return sink;
        },
      },
    }),
  });
  say(listener.url);
  await host.done;
}

await (mode === "accept" ? accept() : dial());
