// Runs the portable suites in a runtime that has no test runner: `node run_portable.js workerd
// COMMAND REPORT`. Writes a JUnit report, as the runners of the other runtimes do.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { json } from "node:stream/consumers";
import { inspect } from "node:util";
import { demoPageSuite } from "../tests/browser/demo_page.ts";
import { browserGuideSuite } from "../tests/browser/guide.ts";
import type { ChromiumTests } from "../tests/runtimes/chromium.ts";
import { type PortableResult, runPortable, testsOf } from "../tests/runtimes/portable.ts";
import type { RelayUrls } from "../tests/transports/browser.ts";
import { startPairingRelay } from "../tests/transports/pairing_relay.ts";
import { bundle } from "./bundle.ts";
import { startChromium } from "./chromium.ts";
import { formatJunit } from "./junit.ts";
import { findRuntimes } from "./runtimes.ts";
import { serveFolder } from "./serve_folder.ts";
import { startWorkerd } from "./workerd.ts";
import { root, withScratchFolder } from "./workspace.ts";

/** Longer than a test may take by itself. */
const ANSWER_LIMIT_MS = 90_000;

/** What the page of the tests has. */
declare const chromiumTests: ChromiumTests;

/** Ten downloads, each of them twice. */
const DRIVEN_LIMIT_MS = 10 * 60_000;

/** Tests that take longer are named. */
const SLOW_MS = 3000;

/** The tests of a runtime, and how one of them is run there. */
interface PortableRuntime {
  readonly names: readonly string[];
  run(name: string): Promise<PortableResult>;
  close(): Promise<void>;
}

/** What a worker says. Each request has a connection of its own: workerd closes those that rest. */
async function answerOf(url: string, headers: Readonly<Record<string, string>>): Promise<unknown> {
  const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
  const asked = get(url, { agent: false, headers, signal });
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  return json(response);
}

async function workerd(command: string, folder: string): Promise<PortableRuntime> {
  const file = join(folder, "worker.js");
  await bundle("tests/runtimes/workerd.ts", file, ["workerd"]);
  const { url, close } = await startWorkerd(command, folder, file, {
    objectClass: "WorkerTests",
  });
  const relay = await startPairingRelay();
  const ask = (name: string): Promise<unknown> =>
    answerOf(`${url}/${encodeURIComponent(name)}`, { "relay-port": String(relay.port) });
  return {
    names: (await ask("")) as string[],
    run: async (name) => (await ask(name)) as PortableResult,
    close: async () => {
      await close();
      relay.close();
    },
  };
}

/** A page of a server on loopback, which is a secure context; the page starts a worker of the same. */
async function chromium(command: string, folder: string): Promise<PortableRuntime> {
  await bundle("tests/runtimes/chromium.ts", join(folder, "tests.js"), ["browser"]);
  writeFileSync(join(folder, "index.html"), '<script type="module" src="/tests.js"></script>');
  const server = await serveFolder(folder);
  const browser = await startChromium(command);
  const relay = await startConnectionRelay(new URL(server.url).origin);
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.log(`✖ the page failed: ${error.stack}`));
  await page.goto(`${server.url}#${new URLSearchParams({ ...relay.urls })}`);
  // These drive browsers of their own.
  const driven = testsOf("chromium", [demoPageSuite(command), browserGuideSuite(command)]);
  return {
    names: [...(await page.evaluate(() => chromiumTests.names())), ...driven.keys()],
    run: (name) =>
      driven.has(name)
        ? runPortable(driven, name, DRIVEN_LIMIT_MS)
        : page.evaluate((name) => chromiumTests.run(name), name),
    close: async () => {
      await browser.close();
      await server.close();
      relay.close();
    },
  };
}

/** The relay runs in Deno, the one runtime that can listen for both of a browser's transports. */
async function startConnectionRelay(origin: string): Promise<{ urls: RelayUrls; close(): void }> {
  const { found } = await findRuntimes();
  const deno = found.find(({ kind }) => kind === "deno")?.command ?? "deno";
  const file = join(root, "tests/transports/connection_relay.ts");
  const config = join(root, "deno.json");
  const flags = ["run", "-A", "--no-check", "--unstable-net", "--config", config];
  const child = spawn(deno, [...flags, file, origin], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { value = "" } = await lines.next();
  return { urls: JSON.parse(value), close: () => child.stdin.end() };
}

const RUNTIMES = { workerd, chromium } as const;

const [kind = "", command = "", reportFile = ""] = process.argv.slice(2);
const wanted = (process.env.HEADRACE_ONLY ?? "").toLowerCase();
await withScratchFolder(async (folder) => {
  const runtime = await RUNTIMES[kind as keyof typeof RUNTIMES](command, folder);
  const results: PortableResult[] = [];
  for (const name of runtime.names.filter((name) => name.toLowerCase().includes(wanted))) {
    const startedMs = performance.now();
    const result = await runtime
      .run(name)
      .catch((error: unknown) => ({ name, error: inspect(error) }));
    results.push(result);
    const tookMs = performance.now() - startedMs;
    if (tookMs > SLOW_MS) console.log(`slow  ${name} (${Math.round(tookMs)} ms)`);
    if (result.error !== undefined) console.log(`✖ ${name}\n  ${result.error}`);
  }
  await runtime.close();
  const failed = results.filter(({ error }) => error !== undefined).length;
  console.log(`${results.length - failed} of ${results.length} tests passed`);
  const outcomes = results.map(({ name, error }) => ({
    name,
    outcome: error === undefined ? ("passed" as const) : ("failed" as const),
  }));
  writeFileSync(reportFile, formatJunit(outcomes));
  process.exitCode = failed > 0 ? 1 : 0;
});
