// Runs a bench file's two ends as processes of the same runtime, joined by a TCP port.
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Sample } from "./compare.ts";
import { type Link, loopback } from "./link.ts";

/** What each end is told, in its last argument. */
export interface Part {
  readonly variant: string;
  readonly role: "send" | "receive";
  readonly bytes: number;
  /** Whether to digest what arrives; never while timing. */
  readonly digest: boolean;
  /** Further numbers of the bench's own. */
  readonly settings?: Readonly<Record<string, number>>;
  /** Where to listen or, with `port`, where the other end is; loopback where left out. */
  readonly host?: string;
  /** Where the other end listens; absent for the end that listens. */
  readonly port?: number;
}

/** What the ends do and what is between them. */
export interface Work extends Omit<Part, "role" | "host" | "port"> {
  /** Default: {@linkcode loopback}. */
  readonly link?: Link;
}

/** What each end reports when it is done. */
export interface Report {
  readonly bytes: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakRssBytes: number;
  readonly digest?: string;
  /** How long the second half of the bytes took, where the receiver has looked. */
  readonly secondHalfSeconds?: number;
}

/** Two ends while they run. */
export interface Ends {
  readonly sendPid: number;
  readonly receivePid: number;
  /** What the listening end listens on, and what the other one dialled. */
  readonly listeningPort: number;
  readonly dialledPort: number;
}

/** Runs both ends to their end; `listens` is the one that is started first. */
export async function runTwo(
  file: string,
  work: Work,
  listens: Part["role"],
  onStarted?: (ends: Ends) => void,
): Promise<Sample & Pick<Report, "digest" | "secondHalfSeconds">> {
  const { send, receive } = await runBoth<Report, Report>(file, work, listens, onStarted);
  if (receive.bytes !== work.bytes) throw new Error(`${receive.bytes} of ${work.bytes} arrived.`);
  return {
    bytes: receive.bytes,
    seconds: receive.seconds,
    cpuSendSeconds: send.cpuSeconds,
    cpuReceiveSeconds: receive.cpuSeconds,
    peakRssBytes: Math.max(send.peakRssBytes, receive.peakRssBytes),
    ...(receive.digest !== undefined && { digest: receive.digest }),
    ...(receive.secondHalfSeconds && { secondHalfSeconds: receive.secondHalfSeconds }),
  };
}

/** As {@linkcode runTwo}, and returns what the ends said, whatever that is. */
export async function runBoth<Sent, Received>(
  file: string,
  { link = loopback, ...work }: Work,
  listens: Part["role"],
  onStarted: (ends: Ends) => void = () => {},
): Promise<{ send: Sent; receive: Received }> {
  const dials = listens === "send" ? "receive" : "send";
  const started: Running[] = [];
  const run = (end: "listens" | "dials", part: Part) => {
    const running = start(link.command(end, programFor(file, part)), part);
    started.push(running);
    return running;
  };
  try {
    const first = run("listens", { ...work, role: listens, host: link.host });
    const listeningPort = Number(await first.line());
    const { host, port } = await link.reach(listeningPort);
    const second = run("dials", { ...work, role: dials, host, port });
    const [sender, receiver] = listens === "send" ? [first, second] : [second, first];
    const pids = { sendPid: sender.pid, receivePid: receiver.pid };
    onStarted({ ...pids, listeningPort, dialledPort: port });
    const [send, receive] = await Promise.all([sender.line(), receiver.line()]);
    await Promise.all([first.exited, second.exited]);
    return { send: JSON.parse(send), receive: JSON.parse(receive) };
  } catch (error) {
    for (const running of started) running.kill();
    throw error;
  }
}

/** The part that this process plays, if it was started by {@linkcode runBoth}. */
export function ownPart(): Part | undefined {
  const argument = process.argv.at(-1) ?? "";
  return argument.startsWith("{") ? (JSON.parse(argument) as Part) : undefined;
}

/** Says one line to the process that started this one. */
export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A stopwatch over wall clock and processor, started at the first byte. */
export class Stopwatch {
  readonly #startMs: number = performance.now();
  readonly #startCpu: { user: number; system: number } = process.cpuUsage();
  #halfMs: number | undefined;

  /** Tells how far the receiver is. */
  passed(bytes: number, ofBytes: number): void {
    if (this.#halfMs === undefined && bytes * 2 >= ofBytes) this.#halfMs = performance.now();
  }

  report(bytes: number, digest?: string): Report {
    const { user, system } = process.cpuUsage(this.#startCpu);
    const nowMs = performance.now();
    return {
      bytes,
      seconds: (nowMs - this.#startMs) / 1000,
      cpuSeconds: (user + system) / 1e6,
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
      ...(digest === undefined ? {} : { digest }),
      ...(this.#halfMs !== undefined && { secondHalfSeconds: (nowMs - this.#halfMs) / 1000 }),
    };
  }
}

/** One end while it runs. */
export interface Running {
  readonly pid: number;
  line(): Promise<string>;
  readonly exited: Promise<void>;
  kill(): void;
}

/** Starts one end in a runtime of choice: `node` or `deno`, by its program. */
export function startPart(command: string, file: string, part: Part): Running {
  return start(programFor(file, part, command), part);
}

function programFor(file: string, part: Part, command: string = process.execPath): string[] {
  const isDeno = /deno(\.exe)?$/.test(command);
  const flags = isDeno ? ["run", "--no-check", "-A", "--unstable-net"] : [];
  return [command, ...flags, fileURLToPath(file), JSON.stringify(part)];
}

function start([command = "", ...args]: readonly string[], part: Part): Running {
  const child: ChildProcess = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  if (child.stdout === null) throw new Error("The child has no output.");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const exited = new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) =>
      code === 0 ? resolve() : reject(new Error(`${part.variant}, ${part.role}: exit ${code}`)),
    );
  });
  exited.catch(() => {});
  return {
    pid: child.pid ?? 0,
    exited,
    kill: () => void child.kill("SIGKILL"),
    async line() {
      const { value, done } = await lines.next();
      if (!done) return value;
      await exited;
      throw new Error(`${part.variant}, ${part.role}: ended without a word.`);
    },
  };
}
