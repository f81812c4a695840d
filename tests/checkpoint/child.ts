// Starts a script of this folder in another process of the same runtime.
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A child that is spoken to and speaks in lines. */
export interface Child {
  readonly process: ChildProcess;
  send(line: string): void;
  /** The next line it writes; rejects when it ends first. */
  line(): Promise<string>;
  /** Ends it the hard way, and waits until it is gone. */
  kill(): Promise<void>;
}

/** @param script The name of a script beside this file, without its extension. */
export function startChild(script: string, args: readonly string[]): Child {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const path = fileURLToPath(new URL(`./${script}.${extension}`, import.meta.url));
  const flags = "deno" in process.versions ? ["run", "-A", "--no-check"] : [];
  const child = spawn(process.execPath, [...flags, path, ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  return {
    process: child,
    send: (line) => void child.stdin.write(`${line}\n`),
    async line() {
      const next = await lines.next();
      if (next.done === true) throw new Error(`${script} ended`);
      return next.value;
    },
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
