import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { bundle } from "../../scripts/bundle.ts";
import { findRuntimes, type Runtime } from "../../scripts/runtimes.ts";
import { startWorkerd } from "../../scripts/workerd.ts";
import { root } from "../../scripts/workspace.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { WorkerHostOptions } from "./worker_host.ts";

/** A worker that answers. */
export interface RunningWorker {
  /** `http://127.0.0.1:PORT`, without a slash. */
  readonly url: string;
  /** Its process, where it is one by itself. */
  readonly pid?: number | undefined;
}

/** Miniflare does not run in older ones. */
const OLDEST_NODE = 22;

async function commandOf(kind: Runtime["kind"], oldest = 0): Promise<string> {
  const { found } = await findRuntimes();
  const runtime = found.find(
    (one) => one.kind === kind && (kind !== "node" || Number.parseInt(one.version, 10) >= oldest),
  );
  if (runtime) return runtime.command;
  throw new Error(`The tests of workers need ${kind} ${oldest || ""}, and it was not found`);
}

/** Bundles a module, by its path in the repository, in a folder of its own. */
async function withBundle(
  entry: string,
  body: (file: string, folder: string) => Promise<void>,
): Promise<void> {
  await withTempFolder(async (folder) => {
    const file = join(folder, "worker.js");
    await bundle(entry, file, ["workerd"]);
    await body(file, folder);
  });
}

/** Runs a module in workerd, with texts bound to it, for as long as the body does. */
export async function withWorker(
  entry: string,
  bindings: Readonly<Record<string, string>>,
  body: (worker: RunningWorker) => Promise<void>,
): Promise<void> {
  await withBundle(entry, async (file, folder) => {
    const command = await commandOf("workerd");
    const { url, process, close } = await startWorkerd(command, folder, file, { bindings });
    try {
      await body({ url, pid: process.pid });
    } finally {
      await close();
    }
  });
}

/** Runs a module beside a bucket, which workerd has by Miniflare only, with texts bound to it. */
export async function withBucketWorker(
  entry: string,
  folders: WorkerHostOptions["folders"],
  body: (worker: RunningWorker) => Promise<void>,
  bindings: Readonly<Record<string, string>> = {},
): Promise<void> {
  await withBundle(entry, async (worker) => {
    const program = join(root, "dist/tests/edge/worker_host.js");
    if (!existsSync(program)) throw new Error("Nothing is built yet: run npm run build");
    const options = JSON.stringify({ worker, folders, bindings });
    const child = spawn(await commandOf("node", OLDEST_NODE), [program, options], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const ended = new Promise((resolve) => child.once("close", resolve));
    try {
      await body(await whereItIs(child));
    } finally {
      child.stdin?.end();
      await ended;
    }
  });
}

function whereItIs(child: ChildProcess): Promise<RunningWorker> {
  return new Promise((resolve, reject) => {
    child.stdin?.on("error", () => {});
    child.once("error", reject);
    child.once("close", (code) => reject(new Error(`The worker's host ended with code ${code}`)));
    if (!child.stdout) return reject(new TypeError("The worker's host was started without a pipe"));
    createInterface({ input: child.stdout }).on("line", (line) => {
      resolve({ url: (JSON.parse(line).url as string).replace(/\/$/, "") });
    });
  });
}
