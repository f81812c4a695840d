// Real weights between runtimes that have no command line, and those that have one.
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { assert } from "chai";
import { makeWeights } from "../../lib/cli/demo_weights.ts";
import { SafetensorsStore } from "../../lib/formats/safetensors_store.ts";
import { formatAddress, parsePattern } from "../../lib/tensor/address.ts";
import { bundle } from "../../scripts/bundle.ts";
import { findChromium, type Page, startChromium } from "../../scripts/chromium.ts";
import { findRuntimes } from "../../scripts/runtimes.ts";
import { serveFolder } from "../../scripts/serve_folder.ts";
import { root } from "../../scripts/workspace.ts";
import { type RunningWorker, withBucketWorker } from "../edge/running_worker.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import type { Exchanged } from "../interop/exchange.ts";
import type { Loaded } from "../interop/load_bucket.ts";
import { skipLoudly } from "../skip_loudly.ts";

/** A bucket is asked for each tensor by itself; the many small ones would show nothing more. */
const LEAST_BYTES = 64 * 1024;
const TRANSPORTS = ["webtransport", "websocket"] as const;

/** What the pages have. */
declare const exchange: (url: string) => Promise<Exchanged>;
declare const loadBucket: (url: string, leastBytes: number) => Promise<Loaded>;

/** A page that runs one module, and where it is. */
async function withPage(
  chromium: string,
  module: string,
  body: (page: Page, origin: string) => Promise<void>,
): Promise<void> {
  await withTempFolder(async (site) => {
    await bundle(module, join(site, "page.js"), ["browser"]);
    await writeFile(join(site, "index.html"), '<script type="module" src="/page.js"></script>');
    const server = await serveFolder(site);
    const browser = await startChromium(chromium);
    try {
      const page = await browser.newPage();
      await page.goto(server.url);
      await body(page, new URL(server.url).origin);
    } finally {
      await browser.close();
      await server.close();
    }
  });
}

export const interopSuite: Suite = ({ runtime, test }) => {
  // It starts the others by itself, so that once is enough.
  if (runtime !== "node26") return;
  for (const transport of TRANSPORTS) {
    test(`interop: 64 MiB of real weights pass both ways between Deno and a page of Chromium, over ${transport} (node26 only)`, () =>
      withTempFolder(async (folder) => {
        const { found } = await findRuntimes();
        const deno = found.find(({ kind }) => kind === "deno")?.command;
        const chromium = findChromium();
        if (!deno || !chromium) {
          skipLoudly("Deno or Chromium");
          return;
        }
        await makeWeights(join(folder, "weights"), { shards: 2 });
        await withPage(chromium, "tests/interop/exchange.ts", async (page, origin) => {
          const peer = startPeer(deno, [join(folder, "weights"), transport, origin]);
          try {
            const { url, bytes, sha256 } = await peer.line();
            const exchanged = await page.evaluate((to) => exchange(to), url as string);
            const hasLanes = transport === "webtransport";
            assert.deepEqual(exchanged, { bytes, sha256, verified: "root", hasLanes } as Exchanged);
            assert.deepEqual(await peer.line(), { address: "interop/back/all", bytes, sha256 });
          } finally {
            peer.process.kill();
          }
        });
      }));
  }

  test("interop: 64 MiB of real weights come from a bucket in a worker to a page of Chromium (node26 only)", () =>
    withTempFolder(async (parent) => {
      const chromium = findChromium();
      if (!chromium) {
        skipLoudly("Chromium");
        return;
      }
      const { folder } = await makeWeights(join(parent, "weights"));
      const wanted = await digestsOf(folder, ["one", "two"]);
      await withPage(chromium, "tests/interop/load_bucket.ts", async (page, origin) => {
        const load = async ({ url }: RunningWorker) => {
          const { bytes, digests, fetched } = await page.evaluate(
            ([from, least]) => loadBucket(from, least),
            [url, LEAST_BYTES] as const,
          );
          assert.isAbove(bytes, 64 * 1024 * 1024);
          assert.deepEqual(digests, wanted);
          assert.equal(fetched.sha256, wanted[fetched.address]);
        };
        const folders = { one: folder, two: folder };
        await withBucketWorker("examples/edge/serve_r2.ts", folders, load, { ORIGINS: origin });
      });
    }));
};

/** The SHA-256 of each large tensor in a folder, by its address in models of these names. */
async function digestsOf(
  folder: string,
  models: readonly string[],
): Promise<Record<string, string>> {
  const store = await SafetensorsStore.open([folder]);
  const digests: Record<string, string> = {};
  for await (const { address, descriptor } of store.list(parsePattern(""))) {
    if (descriptor.byteLength <= LEAST_BYTES) continue;
    const source = await store.open(address);
    const bytes = new Uint8Array(descriptor.byteLength);
    await source.read(0, bytes);
    await source.close?.();
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    for (const model of models) digests[formatAddress({ ...address, model })] = sha256;
  }
  return digests;
}

type Line = Readonly<Record<string, unknown>>;

function startPeer(deno: string, args: readonly string[]) {
  const file = join(root, "tests/interop/peer.ts");
  const flags = ["run", "-A", "--no-check", "--unstable-net", "--config", join(root, "deno.json")];
  const child: ChildProcess = spawn(deno, [...flags, file, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const each = lines[Symbol.asyncIterator]();
  return {
    process: child,
    line: async (): Promise<Line> => JSON.parse((await each.next()).value as string),
  };
}
