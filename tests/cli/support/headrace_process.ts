// A `headrace` command that runs in a process of its own while a test looks on.
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { cleanEnvironment } from "../run_headrace.ts";

/** What starts `headrace`: a program and its first arguments. */
export interface HeadraceProgram {
  readonly program: string;
  readonly args: readonly string[];
}

/** A line of `--json` output. */
export interface JsonEvent {
  readonly event: string;
  readonly [key: string]: unknown;
}

/** How a command ended, and what it said. */
export interface Exit {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Every line of stdout, read as JSON; the test fails when one is not. */
  readonly events: readonly JsonEvent[];
}

/** How a {@linkcode HeadraceProcess} is started. */
export interface ProcessOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

interface Waiter {
  readonly matches: (event: JsonEvent) => boolean;
  readonly resolve: (event: JsonEvent) => void;
  readonly reject: (error: Error) => void;
}

/** Runs with `--json`; its standard input is a pipe that ends with this process. */
export class HeadraceProcess {
  /** Fulfils when it has ended and all that it said has been read. */
  readonly exit: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #events: JsonEvent[] = [];
  readonly #waiters = new Set<Waiter>();
  readonly #stderrLooks = new Set<() => void>();
  #stderr = "";
  #isOver = false;

  constructor(
    { program, args: first }: HeadraceProgram,
    args: readonly string[],
    options: ProcessOptions = {},
  ) {
    const child = spawn(program, [...first, ...args, "--json"], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...cleanEnvironment(), ...options.environment },
      ...(options.cwd !== undefined && { cwd: options.cwd }),
    });
    this.#child = child;
    child.stdin.on("error", () => {});
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
      for (const look of this.#stderrLooks) look();
    });
    const lines = createInterface({ input: child.stdout });
    lines.on("line", (line) => this.#heard(line));
    const linesOver = new Promise<void>((resolve) => lines.once("close", resolve));
    this.exit = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => void linesOver.then(() => resolve(this.#ended(code))));
    });
    this.exit.catch(() => {});
  }

  /** What it has said so far. */
  get events(): readonly JsonEvent[] {
    return this.#events;
  }

  /** What it has written to stderr so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** The first such event, of those that were and those to come; rejects when it ends before. */
  event(name: string, matches: (event: JsonEvent) => boolean = () => true): Promise<JsonEvent> {
    const isWanted = (event: JsonEvent) => event.event === name && matches(event);
    const known = this.#events.find(isWanted);
    if (known) return Promise.resolve(known);
    if (this.#isOver) return Promise.reject(this.#without(name));
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        matches: isWanted,
        resolve,
        reject: () => reject(this.#without(name)),
      };
      this.#waiters.add(waiter);
    });
  }

  /** Fulfils once stderr has matched; never, when that does not come. */
  logged(pattern: RegExp): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!pattern.test(this.#stderr)) return;
        this.#stderrLooks.delete(look);
        resolve();
      };
      this.#stderrLooks.add(look);
      look();
    });
  }

  /** Sends a signal. */
  signal(signal: "SIGINT" | "SIGTERM" | "SIGSTOP" | "SIGCONT"): void {
    // Under Deno a child that was sent a signal by `kill()` counts as ended by it, whatever it did.
    if (!this.#isOver && this.#child.pid !== undefined) process.kill(this.#child.pid, signal);
  }

  /** Ends it as `kill -9` does, and waits until it is gone. */
  async kill(): Promise<Exit> {
    this.#child.kill("SIGKILL");
    return this.exit;
  }

  #heard(line: string): void {
    this.#lines.push(line);
    let event: JsonEvent;
    try {
      event = JSON.parse(line) as JsonEvent;
    } catch {
      event = { event: "not json", line };
    }
    this.#events.push(event);
    for (const waiter of this.#waiters) {
      if (!waiter.matches(event)) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(event);
    }
  }

  #ended(code: number | null): Exit {
    this.#isOver = true;
    for (const waiter of this.#waiters) waiter.reject(new Error());
    const stdout = this.#lines.map((line) => `${line}\n`).join("");
    return { code, stdout, stderr: this.#stderr, events: this.#events };
  }

  #without(name: string): Error {
    const said = this.#lines.slice(-5).join("\n");
    return new Error(`headrace ended without the event "${name}":\n${said}\n${this.#stderr}`);
  }
}
