import { ByteSource, TensorPeer } from "../../../mod.ts";
import { contentOf } from "../content.ts";
import { sha256Hex } from "../sha256_hex.ts";
import { DiscardingSink, joinOther } from "../transfer.ts";
import { type Part, say } from "../two_processes.ts";

/** What was seen of one transfer; moments are counted from the requests. */
export interface Track {
  readonly byteLength: number;
  readonly completeMs: number;
  /** When its bytes grew, and to how many. */
  readonly steps: readonly (readonly [atMs: number, bytes: number])[];
}

/** What the receiver reports. */
export interface FairReport {
  readonly transfers: readonly Track[];
  readonly elapsedMs: number;
}

const SAMPLE_MS = 5;

/** Plays one end; the requester reports, or says only that the bytes are right. */
export async function playFair(part: Part): Promise<void> {
  const { transfers: count = 0, ...sizes } = part.settings ?? {};
  const lengths = Object.values(sizes);
  const lengthOf = (index: number) => lengths[index % lengths.length] ?? 0;
  const content = contentOf("random", Math.max(...lengths));
  if (part.role === "send") {
    await serve(part, (index) => content.subarray(0, lengthOf(index)));
    say("{}");
    return;
  }
  const limits = { maxTransfers: 2 * count };
  const peer = new TensorPeer(await joinOther(part), { codecs: [], limits });
  await peer.remoteHello();
  if (part.digest) {
    for (const index of lengths.keys()) {
      const bytes = await peer.requestTensor(addressOf(index), { into: "memory" }).bytes();
      if (sha256Hex(bytes) === sha256Hex(content.subarray(0, lengthOf(index)))) continue;
      throw new Error(`Tensor ${index} has other bytes.`);
    }
    await peer.close();
    say("{}");
    return;
  }
  const report = await requestAll(peer, count, lengthOf);
  await peer.close();
  say(JSON.stringify(report));
}

async function requestAll(
  peer: TensorPeer,
  count: number,
  lengthOf: (index: number) => number,
): Promise<FairReport> {
  const startMs = performance.now();
  const seen = Array.from({ length: count }, (_, index) => {
    const sink = new DiscardingSink(0);
    const transfer = peer.requestTensor(addressOf(index), { into: () => sink });
    const track = { byteLength: lengthOf(index), completeMs: 0, steps: [] as [number, number][] };
    const look = () => {
      const { bytes } = transfer.progress;
      if (bytes > (track.steps.at(-1)?.[1] ?? 0)) track.steps.push([now(), bytes]);
    };
    const done = transfer.done.then(() => {
      look();
      track.completeMs = now();
    });
    return { track, look, done };
  });
  function now(): number {
    return performance.now() - startMs;
  }
  const timer = setInterval(() => {
    for (const { look } of seen) look();
  }, SAMPLE_MS);
  await Promise.all(seen.map(({ done }) => done));
  clearInterval(timer);
  return { transfers: seen.map(({ track }) => track), elapsedMs: now() };
}

async function serve(part: Part, contentOf: (index: number) => Uint8Array): Promise<void> {
  const open = async ({ tensor }: { tensor: string }) => {
    const content = contentOf(Number(tensor));
    return new ByteSource(content, { dtype: "U8", shape: [content.byteLength] });
  };
  const store = { async *list() {}, open };
  const limits = { maxTransfers: 2 * (part.settings?.transfers ?? 0) };
  const options = { accepted: true, store, codecs: [], limits };
  const peer = new TensorPeer(await joinOther(part), options);
  await peer.closed;
}

function addressOf(index: number) {
  return { model: "bench", partition: "default", tensor: String(index) };
}
