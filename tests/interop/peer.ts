// A peer in a process of its own: serves real weights and takes what is pushed. Prints its URL, then
// one line of JSON for each tensor that it has taken: { address, bytes, sha256 }.
//   deno run -A --unstable-net peer.ts WEIGHTS_FOLDER webtransport|websocket ORIGIN
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { PeerHost } from "../../lib/session/host.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { formatAddress, type TensorAddress } from "../../lib/tensor/address.ts";
import { makeCertificate } from "../transports/certificate.ts";
import { webSocketAdapterOf } from "../transports/websocket_adapter.ts";

const [folder = "", transport = "", origin = ""] = process.argv.slice(2);
const runtime = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";

/** The weights end to end, as often as it takes: 64 MiB and a bit. */
const BULK_BYTES = 64 * 1024 * 1024 + 12_345;
const BULK: TensorAddress = { model: "interop", partition: "bulk", tensor: "all" };

async function bulk(): Promise<Uint8Array> {
  const bytes = new Uint8Array(BULK_BYTES);
  const names = (await readdir(folder)).filter((name) => name.endsWith(".safetensors")).sort();
  for (let at = 0; at < BULK_BYTES; ) {
    for (const name of names) {
      const file = await readFile(join(folder, name));
      bytes.set(file.subarray(0, BULK_BYTES - at), at);
      at = Math.min(BULK_BYTES, at + file.byteLength);
    }
  }
  return bytes;
}

async function listen() {
  if (transport === "webtransport") {
    const webTransport = await import("../../lib/transports/webtransport_deno.ts");
    const { cert, key, sha256 } = makeCertificate();
    const listener = await webTransport.listen("https://127.0.0.1:0", { cert, key });
    return { listener, url: `${listener.url}#sha256=${sha256}` };
  }
  const { listen: listenWebSocket } = webSocketAdapterOf(runtime);
  const listener = await listenWebSocket("ws://127.0.0.1:0", { origins: [origin] });
  return { listener, url: listener.url };
}

const store = new MemoryStore();
const bytes = await bulk();
store.set(BULK, bytes);
const sinks = new MemoryStore();
const { listener, url } = await listen();
new PeerHost(listener.connections, {
  peer: () => ({
    store,
    sinks,
    onTransfer: (transfer) =>
      void transfer.done.then(() => {
        if (transfer.direction !== "in") return;
        const taken = sinks.get(transfer.address)?.bytes as Uint8Array;
        const sha256 = createHash("sha256").update(taken).digest("hex");
        const address = formatAddress(transfer.address);
        console.log(JSON.stringify({ address, bytes: taken.byteLength, sha256 }));
      }),
  }),
});
const sha256 = createHash("sha256").update(bytes).digest("hex");
console.log(JSON.stringify({ url, bytes: BULK_BYTES, sha256 }));
