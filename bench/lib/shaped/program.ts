import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A program of this folder that runs until its input ends. */
export interface Program {
  /** The first line that it said. */
  readonly said: string;
  stop(): void;
}

/**
 * Starts it in this runtime and waits until it says something.
 *
 * @param prefix The command that runs it somewhere else.
 */
export async function startProgram(
  file: string,
  args: readonly string[],
  prefix: readonly string[] = [],
): Promise<Program> {
  const flags = process.versions.deno === undefined ? [] : ["run", "--no-check", "-A"];
  const path = fileURLToPath(new URL(file, import.meta.url));
  const [command = "", ...rest] = [...prefix, process.execPath, ...flags, path, ...args];
  const child: ChildProcess = spawn(command, rest, { stdio: ["pipe", "pipe", "inherit"] });
  if (child.stdout === null) throw new Error("The program has no output.");
  for await (const said of createInterface({ input: child.stdout })) {
    return { said, stop: () => void child.kill("SIGKILL") };
  }
  throw new Error(`${file} ended without a word.`);
}
