// What a page of Chromium runs, and the worker that the page starts from the same file: the worker
// has all the tests, the page those of what pages alone lack; scripts/chromium.ts asks the page.
import { opfsSuite } from "../checkpoint/opfs.ts";
import type { Suite } from "../harness.ts";
import { browserTransportsSuite, type RelayUrls } from "../transports/browser.ts";
import { type PortableResult, portableTests, runPortable, testsOf } from "./portable.ts";

const LIMIT_MS = 60_000;
const RUNTIME = "chromium";

const isPage = "document" in globalThis;
const opfs: Suite = (harness) => opfsSuite(harness, isPage ? "a page" : "a worker");
/** Where the page is told in its URL. */
const transports: Suite = (harness) => {
  const urls = Object.fromEntries(new URLSearchParams(globalThis.location.hash.slice(1)));
  browserTransportsSuite(harness, urls as unknown as RelayUrls);
};
const own = testsOf(RUNTIME, isPage ? [opfs, transports] : [opfs]);
const tests = isPage ? own : new Map([...portableTests(RUNTIME), ...own]);

/** What a worker is asked, and what it says. */
type Ask = (name: string) => Promise<unknown>;

const answer: Ask = async (name) =>
  name === "" ? [...tests.keys()] : runPortable(tests, name, LIMIT_MS);

/** Asks the worker, one thing at a time. */
function askWorker(): Ask {
  const worker = new Worker(import.meta.url, { type: "module" });
  return (name) =>
    new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
      worker.postMessage(name);
    });
}

/** For the script that drives the page: the names of all tests, or one of them run. */
export interface ChromiumTests {
  names(): Promise<readonly string[]>;
  run(name: string): Promise<PortableResult>;
}

if (isPage) {
  const ask = askWorker();
  const chromiumTests: ChromiumTests = {
    names: async () => [...own.keys(), ...((await ask("")) as string[])],
    run: async (name) => (own.has(name) ? await answer(name) : await ask(name)) as PortableResult,
  };
  Object.assign(globalThis, { chromiumTests });
} else {
  globalThis.onmessage = async ({ data }) => {
    (globalThis as unknown as Worker).postMessage(await answer(data));
  };
}
