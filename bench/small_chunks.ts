// What do small chunks and many small tensors cost?
//
//   node bench/small_chunks.ts [--rounds=7] [--bytes=268435456] [--tensors=20000] [--only=4 KiB,64 KiB,tensors]
import { createHash } from "node:crypto";
import process from "node:process";
import { ByteSource, TensorPeer } from "../mod.ts";
import { compare, flag, type Variant } from "./lib/compare.ts";
import {
  contentOf,
  DiscardingSink,
  joinOther,
  listenerOf,
  playTransfer,
  rawSocket,
  type Way,
} from "./lib/transfer.ts";
import { ownPart, type Part, runTwo, Stopwatch, say } from "./lib/two_processes.ts";

const KiB = 1024;
const TENSOR_BYTES = 4 * KiB;
/** A name of 32 bytes and a length, as a bare protocol would say them. */
const ITEM_HEAD_BYTES = 36;
const AT_ONCE = 64;

function waysOf(chunkBytes: number): Record<string, Way> {
  return {
    "raw socket": { over: "raw", content: "random", chunkBytes },
    "headrace pull": { over: "headrace", content: "random", chunkBytes },
    "headrace pull, 1 MiB chunks": { over: "headrace", content: "random" },
  };
}

const questions: Record<string, Record<string, Way>> = {
  "4 KiB": waysOf(4 * KiB),
  "64 KiB": waysOf(64 * KiB),
};

/** All tensors have the same bytes, which are hashed once for each. */
const tensor = contentOf("random", TENSOR_BYTES);

async function sendItems(part: Part): Promise<void> {
  const socket = await rawSocket(part);
  const stopwatch = new Stopwatch();
  const head = new Uint8Array(ITEM_HEAD_BYTES);
  for (let n = 0; n < part.bytes / TENSOR_BYTES; n++) {
    socket.cork();
    socket.write(head);
    const hasRoom = socket.write(tensor);
    process.nextTick(() => socket.uncork());
    if (!hasRoom) await new Promise((resolve) => socket.once("drain", resolve));
  }
  await new Promise<void>((resolve) => socket.end(resolve));
  say(JSON.stringify(stopwatch.report(part.bytes)));
}

async function receiveItems(part: Part): Promise<void> {
  const socket = await rawSocket(part);
  const hash = createHash("sha256");
  const item = new Uint8Array(ITEM_HEAD_BYTES + TENSOR_BYTES);
  let gatheredBytes = 0;
  let items = 0;
  let stopwatch: Stopwatch | undefined;
  socket.on("data", (bytes: Uint8Array) => {
    stopwatch ??= new Stopwatch();
    for (let at = 0; at < bytes.byteLength; ) {
      const piece = bytes.subarray(at, at + item.byteLength - gatheredBytes);
      item.set(piece, gatheredBytes);
      gatheredBytes += piece.byteLength;
      at += piece.byteLength;
      if (gatheredBytes < item.byteLength) continue;
      gatheredBytes = 0;
      items++;
      if (part.digest) hash.update(item.subarray(ITEM_HEAD_BYTES));
    }
  });
  await new Promise((resolve) => socket.once("end", resolve));
  say(JSON.stringify(stopwatch?.report(items * TENSOR_BYTES, hash.digest("hex"))));
}

async function sendTensors(part: Part): Promise<void> {
  const stopwatch = new Stopwatch();
  const source = new ByteSource(tensor, { dtype: "U8", shape: [TENSOR_BYTES] });
  const store = { async *list() {}, open: async () => source };
  const peer = new TensorPeer(await joinOther(part), { accepted: true, store, codecs: [] });
  await peer.closed;
  say(JSON.stringify(stopwatch.report(part.bytes)));
}

async function receiveTensors(part: Part): Promise<void> {
  const peer = new TensorPeer(await joinOther(part), { codecs: [] });
  await peer.remoteHello();
  const stopwatch = new Stopwatch();
  const hash = createHash("sha256");
  let asked = 0;
  let receivedBytes = 0;
  const askOn = async () => {
    while (asked < part.bytes / TENSOR_BYTES) {
      const name = `layer.${asked++}`.padEnd(32, ".weight");
      const sink = new DiscardingSink(part.digest ? TENSOR_BYTES : 0);
      const address = { model: "bench", partition: "default", tensor: name };
      await peer.requestTensor(address, { into: () => sink, digest: "none" }).done;
      receivedBytes += sink.receivedBytes;
      if (part.digest) hash.update(sink.kept);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, askOn));
  const report = stopwatch.report(receivedBytes, hash.digest("hex"));
  await peer.close();
  say(JSON.stringify(report));
}

const plays: Record<string, Record<Part["role"], (part: Part) => Promise<void>>> = {
  "raw socket": { send: sendItems, receive: receiveItems },
  headrace: { send: sendTensors, receive: receiveTensors },
};

function variantOf(question: string, name: string, bytes: number, way?: Way): Variant {
  const run = (size: number, digest: boolean) => {
    const listens = way === undefined ? "send" : listenerOf(way);
    return runTwo(
      import.meta.url,
      { variant: `${question}/${name}`, bytes: size, digest },
      listens,
    );
  };
  const verifyBytes = Math.min(bytes, 4096 * KiB);
  return {
    name,
    run: () => run(bytes, false),
    verify: async () => (await run(verifyBytes, true)).digest ?? "",
  };
}

async function main(): Promise<void> {
  const only = flag("only", "4 KiB,64 KiB,tensors").split(",");
  const rounds = Number(flag("rounds", "7"));
  const bytes = Number(flag("bytes", String(256 * 1024 * KiB)));
  for (const [question, ways] of Object.entries(questions)) {
    if (!only.includes(question)) continue;
    await compare({
      name: `small_chunks-${question.replace(" ", "")}`,
      rounds,
      variants: Object.entries(ways).map(([name, way]) => variantOf(question, name, bytes, way)),
      floor: "raw socket",
      about:
        `${bytes / KiB / KiB} MiB in chunks of ${question} from memory, two processes on loopback, checksum ` +
        `only, dropped at the end. Floor: node:net, awaited writes of ${question}, data events.`,
    });
  }
  if (!only.includes("tensors")) return;
  const tensors = Number(flag("tensors", "20000"));
  const lines = await compare({
    name: "small_chunks-tensors",
    rounds,
    variants: Object.keys(plays).map((name) => variantOf("tensors", name, tensors * TENSOR_BYTES)),
    floor: "raw socket",
    about:
      `${tensors} tensors of 4 KiB, ${AT_ONCE} requested at a time, checksum only. Floor: a name and ` +
      "the bytes for each, pushed through node:net without waiting, put together and dropped.",
  });
  for (const { name, gigabytesPerSecond } of lines) {
    say(`  ${name}: ${((gigabytesPerSecond * 1e9) / TENSOR_BYTES).toFixed(0)} tensors a second`);
  }
}

const part = ownPart();
if (part === undefined) await main();
else {
  const [question = "", name = ""] = part.variant.split("/");
  const way = questions[question]?.[name];
  if (way === undefined) await plays[name]?.[part.role](part);
  else await playTransfer(part, way);
  process.exit(0);
}
