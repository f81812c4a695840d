import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { bundle } from "../../scripts/bundle.ts";
import { findRuntimes } from "../../scripts/runtimes.ts";
import { root } from "../../scripts/workspace.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { WorkerHostOptions } from "./worker_host.ts";

/** A worker that answers. */
export interface RunningWorker {
  /** `http://127.0.0.1:PORT`, without a slash. */
  readonly url: string;
  /** Those of its processes that the system tells of. */
  readonly pids: readonly number[];
}

/** Miniflare does not run in older ones. */
const OLDEST_NODE = 22;

async function newNode(): Promise<string> {
  const { found } = await findRuntimes();
  const node = found.find(
    ({ kind, version }) => kind === "node" && Number.parseInt(version, 10) >= OLDEST_NODE,
  );
  if (node) return node.command;
  throw new Error(
    `Workers are tested by Miniflare, which needs Node ${OLDEST_NODE}: none was found`,
  );
}

/** Bundles an example and runs it for as long as the body does. */
export async function withWorker(
  example: string,
  options: Omit<WorkerHostOptions, "worker">,
  body: (worker: RunningWorker) => Promise<void>,
): Promise<void> {
  await withTempFolder(async (folder) => {
    const worker = join(folder, "worker.js");
    await bundle(`examples/edge/${example}.ts`, worker, ["workerd"]);
    const program = join(root, "dist/tests/edge/worker_host.js");
    if (!existsSync(program)) throw new Error("Nothing is built yet: run npm run build");
    const child = spawn(await newNode(), [program, JSON.stringify({ worker, ...options })], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    try {
      await body(await whereItIs(child));
    } finally {
      const ended = new Promise((resolve) => child.once("close", resolve));
      if (child.exitCode === null) {
        child.stdin?.end();
        await ended;
      }
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
      const { url, pids } = JSON.parse(line) as { url: string; pids: number[] };
      resolve({ url: url.replace(/\/$/, ""), pids });
    });
  });
}
