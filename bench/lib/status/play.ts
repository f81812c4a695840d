// One end of 50 transfers at once, the sender of which shows its status.
import { StatusServer, statusUrlOf } from "../../../lib/cli/status_server.ts";
import { FaultyConnection } from "../../../lib/testing/mod.ts";
import { ByteSource, PeerRegistry, TensorPeer } from "../../../mod.ts";
import { contentOf } from "../content.ts";
import { DiscardingSink, joinOther } from "../transfer.ts";
import { type Part, Stopwatch, say } from "../two_processes.ts";

const addressOf = (index: number) => ({
  model: "bench",
  partition: "default",
  tensor: String(index),
});

/** Plays one end and reports what it cost. */
export async function playShown(part: Part): Promise<void> {
  const { transfers = 0 } = part.settings ?? {};
  await (part.role === "send" ? send : receive)(part, transfers, part.bytes / transfers);
}

async function send(part: Part, _: number, byteLength: number): Promise<void> {
  const { statusPort = 0, bytesPerSecond = 0 } = part.settings ?? {};
  const content = contentOf("random", byteLength);
  const registry = new PeerRegistry();
  const shown = { registry, node: "bench" };
  const status = await StatusServer.open(statusUrlOf(`127.0.0.1:${statusPort}`, {}), shown, {});
  let stopwatch: Stopwatch | undefined;
  const open = async () => {
    stopwatch ??= new Stopwatch();
    return new ByteSource(content, { dtype: "U8", shape: [byteLength] });
  };
  const store = { async *list() {}, open };
  const full = await joinOther(part);
  const throttle = { kind: "throttle", atByte: 0, bytesPerSecond } as const;
  const connection = bytesPerSecond > 0 ? new FaultyConnection(full, { sent: [throttle] }) : full;
  const peer = new TensorPeer(connection, { accepted: true, store, codecs: [], registry });
  await peer.closed;
  say(JSON.stringify(stopwatch?.report(part.bytes)));
  await status.close();
}

async function receive(part: Part, transfers: number, byteLength: number): Promise<void> {
  const peer = new TensorPeer(await joinOther(part), { codecs: [] });
  await peer.remoteHello();
  const stopwatch = new Stopwatch();
  const requested = Array.from({ length: transfers }, (_, index) => {
    const sink = new DiscardingSink(0);
    return peer.requestTensor(addressOf(index), { into: () => sink }).done;
  });
  await Promise.all(requested);
  await peer.close();
  say(JSON.stringify(stopwatch.report(transfers * byteLength)));
}
