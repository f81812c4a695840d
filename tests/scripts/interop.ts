// Real weights between runtimes that have no command line, and those that have one.
import { type ChildProcess, spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { assert } from "chai";
import { makeWeights } from "../../lib/cli/demo_weights.ts";
import { bundle } from "../../scripts/bundle.ts";
import { findChromium, startChromium } from "../../scripts/chromium.ts";
import { findRuntimes } from "../../scripts/runtimes.ts";
import { serveFolder } from "../../scripts/serve_folder.ts";
import { root } from "../../scripts/workspace.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import type { Exchanged } from "../interop/exchange.ts";
import { skipLoudly } from "../skip_loudly.ts";

const TRANSPORTS = ["webtransport", "websocket"] as const;

/** What the page has. */
declare const exchange: (url: string) => Promise<Exchanged>;

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
        const site = join(folder, "site");
        await bundle("tests/interop/exchange.ts", join(site, "exchange.js"), ["browser"]);
        await writeFile(
          join(site, "index.html"),
          '<script type="module" src="/exchange.js"></script>',
        );
        const server = await serveFolder(site);
        const origin = new URL(server.url).origin;
        const peer = startPeer(deno, [join(folder, "weights"), transport, origin]);
        const browser = await startChromium(chromium);
        try {
          const { url, bytes, sha256 } = await peer.line();
          const page = await browser.newPage();
          await page.goto(server.url);
          const exchanged = await page.evaluate((to) => exchange(to), url as string);
          const hasLanes = transport === "webtransport";
          assert.deepEqual(exchanged, { bytes, sha256, verified: "root", hasLanes } as Exchanged);
          assert.deepEqual(await peer.line(), { address: "interop/back/all", bytes, sha256 });
        } finally {
          await browser.close();
          await server.close();
          peer.process.kill();
        }
      }));
  }
};

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
