// Runs a bench file's two ends as processes of the same runtime, joined by a TCP port.
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Sample } from "./compare.ts";

/** What each end is told, in its last argument. */
export interface Part {
  readonly variant: string;
  readonly role: "send" | "receive";
  readonly bytes: number;
  /** Whether to digest what arrives; never while timing. */
  readonly digest: boolean;
  /** Where the other end listens; absent for the end that listens. */
  readonly port?: number;
}

/** What each end reports when it is done. */
export interface Report {
  readonly bytes: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakRssBytes: number;
  readonly digest?: string;
}

/** Runs both ends to their end; `listens` is the one that is started first. */
export async function runTwo(
  file: string,
  work: Omit<Part, "role" | "port">,
  listens: Part["role"],
): Promise<Sample & { digest: string | undefined }> {
  const dials = listens === "send" ? "receive" : "send";
  const first = start(file, { ...work, role: listens });
  const port = Number(await first.line());
  const second = start(file, { ...work, role: dials, port });
  const reports = (await Promise.all([first.line(), second.line()])).map(
    (line) => JSON.parse(line) as Report,
  );
  await Promise.all([first.exited, second.exited]);
  const [own, other] = reports as [Report, Report];
  const [send, receive] = listens === "send" ? [own, other] : [other, own];
  if (receive.bytes !== work.bytes) throw new Error(`${receive.bytes} of ${work.bytes} arrived.`);
  return {
    bytes: receive.bytes,
    seconds: receive.seconds,
    cpuSendSeconds: send.cpuSeconds,
    cpuReceiveSeconds: receive.cpuSeconds,
    peakRssBytes: Math.max(send.peakRssBytes, receive.peakRssBytes),
    digest: receive.digest,
  };
}

/** The part that this process plays, if it was started by {@linkcode runTwo}. */
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

  report(bytes: number, digest?: string): Report {
    const { user, system } = process.cpuUsage(this.#startCpu);
    return {
      bytes,
      seconds: (performance.now() - this.#startMs) / 1000,
      cpuSeconds: (user + system) / 1e6,
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
      ...(digest === undefined ? {} : { digest }),
    };
  }
}

interface Running {
  line(): Promise<string>;
  readonly exited: Promise<void>;
}

function start(file: string, part: Part): Running {
  const flags = process.versions.deno === undefined ? [] : ["run", "--no-check", "-A"];
  const child: ChildProcess = spawn(
    process.execPath,
    [...flags, fileURLToPath(file), JSON.stringify(part)],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
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
    exited,
    async line() {
      const { value, done } = await lines.next();
      if (!done) return value;
      await exited;
      throw new Error(`${part.variant}, ${part.role}: ended without a word.`);
    },
  };
}
