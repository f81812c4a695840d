// The runtimes that tests and checks run in: the node that runs this, those of tests/runtimes/, and
// the system's Chromium.
import { copyFileSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { findChromium } from "./chromium.ts";
import { root, run } from "./workspace.ts";

const FOLDER = join(root, "tests", "runtimes");
const MODULES = join(FOLDER, "node_modules");
/** A copy of the lock that was installed: a different lock means a stale install. */
const INSTALLED_LOCK = join(MODULES, ".installed-lock.json");

/** A runtime that can be started. */
export interface Runtime {
  readonly kind: "node" | "deno" | "bun" | "workerd" | "chromium";
  /** `node20`, `node26`, `deno`, `bun`, `workerd`, `chromium`. */
  readonly name: string;
  readonly version: string;
  /** The program's path. */
  readonly command: string;
}

/** Whether every suite runs there; elsewhere only the portable ones do. */
export function hasTestRunner({ kind }: Runtime): boolean {
  return kind !== "workerd" && kind !== "chromium";
}

/** What could be found, and the names of what could not. */
export interface RuntimeSearch {
  readonly found: readonly Runtime[];
  readonly missing: readonly string[];
}

/** Where the platform packages keep their programs: a scope or prefix, and the path inside. */
const WANTED = [
  { kind: "node", name: "node26", scope: "", prefix: "node-", program: "bin/node" },
  { kind: "deno", name: "deno", scope: "@deno", prefix: "", program: "deno" },
  { kind: "bun", name: "bun", scope: "@oven", prefix: "bun-", program: "bin/bun" },
  {
    kind: "workerd",
    name: "workerd",
    scope: "@cloudflare",
    prefix: "workerd-",
    program: "bin/workerd",
  },
] as const;

/** Where an install script, if it was let run, moves Bun's program to. */
const MOVED_BUN = join(MODULES, "bun", "bin", "bun.exe");

function isStale(): boolean {
  if (!existsSync(INSTALLED_LOCK)) return true;
  const wanted = readFileSync(join(FOLDER, "package-lock.json"), "utf8");
  return readFileSync(INSTALLED_LOCK, "utf8") !== wanted;
}

/** Installs tests/runtimes/ when it is missing or older than its lock. */
export async function installRuntimes(): Promise<void> {
  if (!isStale()) return;
  console.log(
    "Installing the test runtimes (tests/runtimes), once for each change of its lock ...",
  );
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
  const { code, output } = await run("npm", args, { cwd: FOLDER });
  if (code !== 0) console.error(output);
  else copyFileSync(join(FOLDER, "package-lock.json"), INSTALLED_LOCK);
}

/** The version a program says it has, or `undefined` where it does not run on this machine. */
async function versionOf(command: string): Promise<string | undefined> {
  const { code, output } = await run(command, ["--version"], { timeoutMs: 30_000 });
  return code === 0 ? output.match(/\d+[.-]\d+[.-]\d+\S*/)?.[0] : undefined;
}

/** The running node, every runtime of tests/runtimes/ that starts, and Chromium. */
export async function findRuntimes(): Promise<RuntimeSearch> {
  const major = process.versions.node.split(".")[0];
  const found: Runtime[] = [
    {
      kind: "node",
      name: `node${major}`,
      version: process.versions.node,
      command: process.execPath,
    },
  ];
  const missing: string[] = [];
  for (const { kind, name, scope, prefix, program } of WANTED) {
    if (found.some((runtime) => runtime.name === name)) continue;
    const folder = join(MODULES, scope);
    const entries = existsSync(folder) ? readdirSync(folder) : [];
    const programs = entries
      .filter((entry) => entry.startsWith(prefix))
      .map((entry) => join(folder, entry, program));
    if (kind === "bun") programs.push(MOVED_BUN);
    const runtime = await firstThatRuns(programs);
    if (runtime === undefined) missing.push(name);
    else found.push({ kind, name, ...runtime });
  }
  const chromium = findChromium();
  const version = chromium && (await versionOf(chromium));
  if (chromium && version)
    found.push({ kind: "chromium", name: "chromium", version, command: chromium });
  else missing.push("chromium");
  return { found, missing };
}

async function firstThatRuns(
  commands: readonly string[],
): Promise<{ command: string; version: string } | undefined> {
  for (const command of commands) {
    const version = existsSync(command) ? await versionOf(command) : undefined;
    if (version !== undefined) return { command, version };
  }
  return undefined;
}
