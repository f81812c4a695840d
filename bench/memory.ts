// How much memory do `headrace serve` and `headrace pull` need, and does it grow with the tensor?
//
//   node bench/memory.ts [--gib=1,2,4]            (Node; needs three times the largest size on disk)
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { flag, runtimeName } from "./lib/compare.ts";
import { contentOf } from "./lib/content.ts";
import { say } from "./lib/two_processes.ts";

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;
const PEAK_TARGET_MIB = 250;
const GROWTH_TARGET_MIB_PER_GIB = 8;
const CLI = fileURLToPath(new URL("../lib/cli/main.ts", import.meta.url));
/** Runs before the program, and says at its end what the kernel counted. */
const REPORT_PEAK =
  "data:text/javascript,process.on('exit',()=>process.stderr.write('peak '+process.resourceUsage().maxRSS+'\\n'))";

interface Running {
  readonly child: ChildProcess;
  /** Resolves with the peak in MiB when it has ended well. */
  readonly peakMiB: Promise<number>;
}

/** What a shell calls the end by an interrupt, which is how a server ends. */
const INTERRUPTED = 130;

function start(program: readonly string[], wantedCode = 0): Running {
  const child = spawn(process.execPath, ["--import", REPORT_PEAK, ...program], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  child.stderr?.on("data", (text) => {
    said += text;
  });
  const peakMiB = new Promise<number>((resolve, reject) => {
    child.once("close", () => {
      const peak = /^peak (\d+)$/m.exec(said)?.[1];
      if (child.exitCode === wantedCode && peak !== undefined) resolve(Number(peak) / 1024);
      else reject(new Error(`${program.join(" ")} ended with ${child.exitCode}: ${said}`));
    });
  });
  peakMiB.catch(() => {});
  return { child, peakMiB };
}

/** A safetensors file of one tensor of random bytes. */
async function writeModel(path: string, byteLength: number): Promise<void> {
  const entry = { dtype: "U8", shape: [byteLength], data_offsets: [0, byteLength] };
  const header = new TextEncoder().encode(JSON.stringify({ w: entry }).padEnd(120));
  const file = await open(path, "w");
  try {
    const front = new DataView(new ArrayBuffer(8));
    front.setBigUint64(0, BigInt(header.byteLength), true);
    await file.write(new Uint8Array(front.buffer));
    await file.write(header);
    const block = contentOf("random", 16 * MiB);
    for (let at = 0; at < byteLength; at += block.byteLength) {
      new DataView(block.buffer).setFloat64(0, at);
      await file.write(block);
    }
  } finally {
    await file.close();
  }
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: MiB }), hash);
  return hash.digest("hex");
}

/** The first of what the server says on its output that holds an address. */
async function addressOf(server: Running): Promise<string> {
  if (server.child.stdout === null) throw new Error("The server has no output.");
  for await (const line of createInterface({ input: server.child.stdout })) {
    const address = /tcp:\/\/[^\s"]+/.exec(line)?.[0];
    if (address !== undefined) return address;
  }
  await server.peakMiB;
  throw new Error("The server never said where it listens.");
}

async function measure(folder: string, gib: number) {
  const source = join(folder, "model.safetensors");
  const output = join(folder, "pulled.safetensors");
  await writeModel(source, gib * GiB);
  const serve = [CLI, "serve", source, "--listen", "tcp://127.0.0.1:0", "--json"];
  const server = start(serve, INTERRUPTED);
  const url = await addressOf(server);
  const startMs = performance.now();
  const puller = start([CLI, "pull", url, "-o", output, "--json"]);
  puller.child.stdout?.resume();
  const pullMiB = await puller.peakMiB;
  const seconds = (performance.now() - startMs) / 1000;
  server.child.kill("SIGINT");
  const serveMiB = await server.peakMiB;
  if ((await digestOf(source)) !== (await digestOf(output)))
    throw new Error("Other bytes arrived.");
  await rm(source);
  await rm(output);
  return { gib, serveMiB, pullMiB, seconds };
}

const idle = start(["--eval", "0"]);
const idleMiB = await idle.peakMiB;
const loaded = start([CLI, "--help"]);
loaded.child.stdout?.resume();
const loadedMiB = await loaded.peakMiB;
say(`memory on node ${process.version}, ${cpus().length} x ${cpus()[0]?.model}`);
say(
  "Peak resident memory of the two commands for one tensor of random bytes, from a file to a file; both are " +
    `compared afterwards. Floor: node with nothing to do ${idleMiB.toFixed(0)} MiB, headrace --help ${loadedMiB.toFixed(0)} MiB.`,
);
say("  GiB   serve MiB   pull MiB   seconds");
const sizes = flag("gib", "1,2,4").split(",").map(Number);
const folder = await mkdtemp(join(tmpdir(), "headrace-memory-"));
const lines = [];
try {
  for (const gib of sizes) {
    const line = await measure(folder, gib);
    lines.push(line);
    const { serveMiB, pullMiB, seconds } = line;
    const cells = [gib.toString().padStart(5), serveMiB.toFixed(0).padStart(11)];
    say([...cells, pullMiB.toFixed(0).padStart(10), seconds.toFixed(1).padStart(9)].join(" "));
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
const first = lines.at(0);
const last = lines.at(-1);
if (first !== undefined && last !== undefined) {
  const peak = Math.max(...lines.flatMap((line) => [line.serveMiB, line.pullMiB]));
  const grown = (of: "serveMiB" | "pullMiB") =>
    (last[of] - first[of]) / (last.gib - first.gib || 1);
  const growth = Math.max(grown("serveMiB"), grown("pullMiB"));
  const judge = (met: boolean) => (met ? "met" : "missed");
  say(
    `  peak ${peak.toFixed(0)} MiB, at most ${PEAK_TARGET_MIB}: ${judge(peak < PEAK_TARGET_MIB)}`,
  );
  say(
    `  growth ${growth.toFixed(1)} MiB for each GiB, at most ${GROWTH_TARGET_MIB_PER_GIB}: ` +
      judge(growth <= GROWTH_TARGET_MIB_PER_GIB),
  );
}
const results = new URL("./results/", import.meta.url);
mkdirSync(results, { recursive: true });
const result = { name: "memory", node: process.version, idleMiB, loadedMiB, lines };
writeFileSync(
  new URL(`memory-${runtimeName()}.json`, results),
  `${JSON.stringify(result, null, 1)}\n`,
);
