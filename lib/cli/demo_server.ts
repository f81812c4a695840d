import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { TransportError } from "../errors.ts";
import { ownCommand } from "./own_command.ts";

/** What a server tells of a connection that is over. */
export interface ConnectionEnd {
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/** How a {@linkcode DemoServer} is started. */
export interface DemoServerOptions {
  /** More of `headrace serve`'s arguments. */
  readonly args: readonly string[];
  readonly signal: AbortSignal;
}

type ServerProcess = ChildProcessByStdio<Writable, Readable, null>;

/**
 * `headrace serve` in a process of its own, on a port that is free. It lives no longer than this
 * process, however that ends: its standard input is a pipe from here, and it ends with that.
 */
export class DemoServer {
  readonly #process: ServerProcess;
  readonly #exited: Promise<void>;
  readonly #listening: Promise<string>;
  readonly #connectionEnds: ((end: ConnectionEnd) => void)[] = [];
  #url = "";

  private constructor(process: ServerProcess) {
    this.#process = process;
    this.#exited = new Promise((resolve) => {
      process.once("close", () => resolve()).once("error", () => resolve());
    });
    this.#listening = new Promise((resolve, reject) => {
      const failed = (why: string) => reject(new TransportError(`The server ended: ${why}`));
      process.once("error", (error) => failed(error.message));
      process.once("close", (code) => failed(`exit code ${code}`));
      createInterface({ input: process.stdout }).on("line", (line) => {
        const event = JSON.parse(line);
        if (event.event === "listening") resolve(event.urls[0]);
        if (event.event === "error") failed(event.message);
        if (event.event === "connection") this.#connectionEnds.shift()?.(event);
      });
    });
    this.#listening.catch(() => {});
    // One that was killed no longer reads its input.
    process.stdin.on("error", () => {});
  }

  /** @throws {TransportError} when it ends instead of listening. */
  static async start(folder: string, options: DemoServerOptions): Promise<DemoServer> {
    options.signal.throwIfAborted();
    const { command, args } = ownCommand();
    const serve = ["serve", folder, "--listen", "tcp://127.0.0.1:0", "--until-stdin-closes"];
    const child = spawn(command, [...args, ...serve, "--json", ...options.args], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const server = new DemoServer(child);
    options.signal.addEventListener("abort", () => void server.kill(), { once: true });
    try {
      server.#url = await server.#listening;
      return server;
    } catch (error) {
      await server.kill();
      throw error;
    }
  }

  /** Where it listens. */
  get url(): string {
    return this.#url;
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** What it says of the next of its connections to end. */
  connectionEnd(): Promise<ConnectionEnd> {
    return new Promise((resolve) => this.#connectionEnds.push(resolve));
  }

  /** Ends it as `kill -9` does. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#exited;
  }

  /** Ends it in good order. */
  async close(): Promise<void> {
    this.#process.stdin.end();
    await this.#exited;
  }
}
