// Starts a script in another process of the same runtime.
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
  /** Stops it where it stands, until it is continued. */
  stop(): void;
  continue(): void;
  /** Ends it the hard way, and waits until it is gone. */
  kill(): Promise<void>;
}

/**
 * @param script The name of a script, without its extension.
 * @param beside The module beside which the script lies; this one where left out.
 */
export function startChild(
  script: string,
  args: readonly string[],
  beside: string = import.meta.url,
): Child {
  const extension = beside.endsWith(".ts") ? "ts" : "js";
  const path = fileURLToPath(new URL(`./${script}.${extension}`, beside));
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
    // Under Deno a child that was sent a signal by its own `kill` counts as ended by it.
    stop: () => void process.kill(child.pid as number, "SIGSTOP"),
    continue: () => void process.kill(child.pid as number, "SIGCONT"),
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
