// Runs one worker in a real workerd, by Miniflare: node worker_host.js '{"worker": FILE, ...}'. Says
// where as a line of JSON, and ends when its standard input does. Miniflare needs Node 22.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";
import { root } from "../../scripts/workspace.ts";

/** What is run, and what is bound to it. */
export interface WorkerHostOptions {
  /** The file of the bundled worker. */
  readonly worker: string;
  readonly bindings?: Readonly<Record<string, string>>;
  /** Folders whose files are put into the bucket `WEIGHTS`, by the names that begin their keys. */
  readonly folders?: Readonly<Record<string, string>>;
}

/** Of Miniflare, what is used here; it is installed in tests/runtimes/. */
interface Miniflare {
  new (
    options: Readonly<Record<string, unknown>>,
  ): {
    readonly ready: Promise<URL>;
    getR2Bucket(name: string): Promise<{ put(key: string, bytes: Uint8Array): Promise<unknown> }>;
    dispose(): Promise<void>;
  };
}

const COMPATIBILITY_DATE = "2026-07-01";

/** The processes that this one has started, where the system tells. */
function childrenHere(): number[] {
  try {
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8");
    return children.trim().split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

const {
  worker,
  bindings = {},
  folders = {},
} = JSON.parse(process.argv[2] ?? "{}") as WorkerHostOptions;
const require = createRequire(join(root, "tests/runtimes/package.json"));
const { Miniflare } = require("miniflare") as { Miniflare: Miniflare };
const miniflare = new Miniflare({
  modules: [{ type: "ESModule", path: "worker.mjs", contents: readFileSync(worker, "utf8") }],
  compatibilityDate: COMPATIBILITY_DATE,
  compatibilityFlags: ["nodejs_compat"],
  r2Buckets: ["WEIGHTS"],
  bindings,
  cf: false,
});
const { href } = await miniflare.ready;
const bucket = await miniflare.getR2Bucket("WEIGHTS");
for (const [name, folder] of Object.entries(folders)) {
  for (const file of readdirSync(folder)) {
    await bucket.put(`${name}/${file}`, readFileSync(join(folder, file)));
  }
}
console.log(JSON.stringify({ url: href, pids: childrenHere() }));
process.stdin.resume().once("end", () => void miniflare.dispose().then(() => process.exit()));
