// Where the repository is, which sources it has, and how a script runs another program.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's folder, found from the sources and from dist/ alike. */
export const root: string = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(folder: string): string {
  return existsSync(join(folder, "package.json")) ? folder : findRoot(dirname(folder));
}

/** A file of the repository as text; `path` is relative to its root. */
export function readText(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** A JSON file of the repository. */
export function readJson<T>(path: string): T {
  return JSON.parse(readText(path)) as T;
}

/** The files below a folder of the repository with the given ending, sorted, with `/` in them. */
export function filesBelow(folder: string, ending: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .filter((path) => !path.includes("node_modules/"))
    .sort();
}

/** How a program ended, and what it said on either output. */
export interface RunResult {
  readonly code: number;
  readonly output: string;
}

/** What {@linkcode run} may be told. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  /** Passes the output through as it comes, besides collecting it. */
  readonly echo?: boolean;
  /** After this long the program is killed, which counts as failed. Default: no limit. */
  readonly timeoutMs?: number;
}

/** Runs a program to its end. A program that cannot start, is killed or hangs has a code that is not 0. */
export function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? root,
      env: { ...process.env, NO_COLOR: "1", ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const parts: string[] = [];
    const collect = (text: string): void => {
      parts.push(text);
      if (options.echo) process.stdout.write(text);
    };
    const finish = (code: number): void => {
      clearTimeout(timer);
      resolve({ code, output: parts.join("") });
    };
    const timer =
      options.timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            collect(`\n(killed: still running after ${options.timeoutMs} ms)\n`);
            child.kill("SIGKILL");
          }, options.timeoutMs);
    child.stdout.setEncoding("utf8").on("data", collect);
    child.stderr.setEncoding("utf8").on("data", collect);
    child.on("error", (error) => {
      collect(`${error.message}\n`);
      finish(127);
    });
    child.on("close", (code) => finish(code ?? 1));
  });
}

/** Calls `use` with a new folder outside the repository, and removes it afterwards. */
export async function withScratchFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "headrace-"));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Prints what a check found wrong and sets the exit code, or prints one line that all is well. */
export function report(check: string, problems: readonly string[], allWell: string): void {
  for (const problem of problems) console.error(`  ${problem}`);
  if (problems.length > 0) process.exitCode = 1;
  console.log(`${check}: ${problems.length === 0 ? allWell : `${problems.length} problem(s)`}`);
}
