// Runs the command line in another process of the same runtime.
import { spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** How a command ended, and what it said. */
export interface HeadraceRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What starts `headrace` in this runtime: a program and its first arguments. */
export function headraceProgram(): { readonly program: string; readonly args: string[] } {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const path = fileURLToPath(new URL(`../../lib/cli/main.${extension}`, import.meta.url));
  const flags = "deno" in process.versions ? ["run", "-A", "--no-check"] : [];
  return { program: process.execPath, args: [...flags, path] };
}

/** The environment without the settings of whoever runs the tests. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const ours = /^(OLLAMA|HEADRACE)_/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name)));
}

/** Runs one command to its end. */
export function runHeadrace(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<HeadraceRun> {
  const headrace = headraceProgram();
  return new Promise((resolve, reject) => {
    const child = spawn(headrace.program, [...headrace.args, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...cleanEnvironment(), ...environment },
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
}
