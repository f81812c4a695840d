// How long from a request on an idle connection to the first verified byte?
//
//   node bench/first_byte.ts [--rounds=9] [--requests=300]
import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import process from "node:process";
import { ByteSource, TensorPeer } from "../mod.ts";
import { compare, flag, median } from "./lib/compare.ts";
import { contentOf } from "./lib/content.ts";
import { joinOther, rawSocket } from "./lib/transfer.ts";
import { ownPart, type Part, runTwo, Stopwatch, say } from "./lib/two_processes.ts";

const KiB = 1024;
const REQUEST_BYTES = 64;
const WARM_UP = 50;

/** What a request is answered with: a tensor of one leaf at the most. */
const sizes: Record<string, number> = { "4 KiB": 4 * KiB, "1 MiB": 1024 * KiB };

type Ask = () => Promise<Uint8Array>;

/** Answers each request, whatever it says, with the content. */
function answerRaw(socket: Socket, content: Uint8Array): Promise<void> {
  let receivedBytes = 0;
  socket.setNoDelay(true);
  socket.on("data", (bytes: Uint8Array) => {
    receivedBytes += bytes.byteLength;
    for (; receivedBytes >= REQUEST_BYTES; receivedBytes -= REQUEST_BYTES) socket.write(content);
  });
  return new Promise((resolve) => socket.once("close", resolve));
}

/** Fulfils with an answer once its first byte is there, or all of it where it is verified as a whole. */
function askRaw(socket: Socket, answerBytes: number, digested: boolean): Ask {
  let onAnswer: (answer: Uint8Array) => void = () => {};
  const answer = new Uint8Array(answerBytes);
  let receivedBytes = 0;
  socket.setNoDelay(true);
  socket.on("data", (bytes: Uint8Array) => {
    answer.set(bytes, receivedBytes);
    receivedBytes += bytes.byteLength;
    if (receivedBytes < answerBytes) return;
    receivedBytes = 0;
    if (digested) createHash("sha256").update(answer).digest();
    onAnswer(answer);
  });
  return () =>
    new Promise((resolve) => {
      onAnswer = resolve;
      socket.write(new Uint8Array(REQUEST_BYTES));
    });
}

/** Fulfils with the tensor; the clock is looked at when the first of it is there. */
function askPeer(peer: TensorPeer, onFirst: () => void): Ask {
  return async () => {
    const address = { model: "bench", partition: "default", tensor: "w" };
    const transfer = peer.requestTensor(address);
    const parts: Uint8Array[] = [];
    for await (const bytes of transfer.readable) {
      if (parts.length === 0) onFirst();
      parts.push(bytes);
    }
    await transfer.done;
    return Buffer.concat(parts);
  };
}

async function serve(part: Part, way: string, content: Uint8Array): Promise<void> {
  if (way !== "headrace") return await answerRaw(await rawSocket(part), content);
  const source = new ByteSource(content, { dtype: "U8", shape: [content.byteLength] });
  const store = { async *list() {}, open: async () => source };
  const peer = new TensorPeer(await joinOther(part), { store, accepted: true, codecs: [] });
  await peer.closed;
}

async function playRequester(part: Part, way: string, answerBytes: number): Promise<void> {
  let firstMs = 0;
  let ask: Ask;
  let close: () => unknown;
  if (way === "headrace") {
    const peer = new TensorPeer(await joinOther(part), { codecs: [] });
    await peer.remoteHello();
    ask = askPeer(peer, () => {
      firstMs = performance.now();
    });
    close = () => peer.close();
  } else {
    const socket = await rawSocket(part);
    ask = askRaw(socket, answerBytes, way.endsWith("SHA-256"));
    close = () => socket.destroy();
  }
  const hash = createHash("sha256");
  for (let n = 0; n < WARM_UP; n++) hash.update(await ask());
  const stopwatch = new Stopwatch();
  const waitsMs: number[] = [];
  for (let n = 0; n < part.bytes / answerBytes; n++) {
    const startMs = performance.now();
    firstMs = 0;
    await ask();
    waitsMs.push((firstMs || performance.now()) - startMs);
  }
  const report = stopwatch.report(part.bytes, hash.digest("hex"));
  await close();
  // The median wait of a request, so that one hiccup of the machine does not count.
  const seconds = (median(waitsMs) / 1000) * waitsMs.length;
  say(JSON.stringify({ ...report, seconds }));
}

const part = ownPart();
if (part === undefined) {
  const requests = Number(flag("requests", "300"));
  for (const [size, answerBytes] of Object.entries(sizes)) {
    const ways = ["raw socket", "raw socket + SHA-256", "headrace"];
    const lines = await compare({
      name: `first_byte-${answerBytes}`,
      rounds: Number(flag("rounds", "9")),
      variants: ways.map((way) => {
        const work = { variant: `${way}/${answerBytes}`, bytes: requests * answerBytes };
        const run = () => runTwo(import.meta.url, { ...work, digest: true }, "send");
        return { name: way, run, verify: async () => (await run()).digest ?? "" };
      }),
      floor: "raw socket + SHA-256",
      about:
        `${requests} requests one after the other, each answered with ${size} from memory; the median ` +
        "wait until the first verified byte is in the requester's hands. Floor: ping-pong on node:net " +
        "without Nagle, hashed once it is whole.",
    });
    for (const { name, gigabytesPerSecond } of lines) {
      const microseconds = answerBytes / gigabytesPerSecond / 1000;
      say(`  ${name}: ${microseconds.toFixed(0)} µs`);
    }
  }
} else {
  const [way = "", answerBytes] = part.variant.split("/");
  const content = contentOf("random", Number(answerBytes));
  if (part.role === "send") {
    const stopwatch = new Stopwatch();
    await serve(part, way, content);
    say(JSON.stringify(stopwatch.report(part.bytes)));
  } else await playRequester(part, way, content.byteLength);
  process.exit(0);
}
