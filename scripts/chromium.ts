// Finds and starts the system's Chromium, which no package of npm brings.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { root } from "./workspace.ts";

/** What of playwright-core's pages is used; it is installed in tests/runtimes/. */
export interface Page {
  goto(url: string): Promise<unknown>;
  evaluate<T, A>(work: (argument: A) => T | Promise<T>, argument?: A): Promise<T>;
  on(event: "console", listener: (message: { text(): string; type(): string }) => void): unknown;
  on(event: "pageerror", listener: (error: Error) => void): unknown;
  close(): Promise<void>;
}

/** A running browser. */
export interface Browser {
  newPage(): Promise<Page>;
  close(): Promise<void>;
}

interface Playwright {
  readonly chromium: {
    launch(options: { executablePath: string; args: readonly string[] }): Promise<Browser>;
  };
}

/** Where systems keep it, if `CHROME_PATH` does not say. */
const PLACES: readonly string[] = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/snap/bin/chromium",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/** The program, or `undefined` on a machine that has none. */
export function findChromium(): string | undefined {
  const { CHROME_PATH } = process.env;
  return [...(CHROME_PATH ? [CHROME_PATH] : []), ...PLACES].find((path) => existsSync(path));
}

/** Starts it, headless. */
export async function startChromium(
  program: string,
  args: readonly string[] = [],
): Promise<Browser> {
  const require = createRequire(join(root, "tests/runtimes/package.json"));
  const { chromium } = require("playwright-core") as Playwright;
  return chromium.launch({
    executablePath: program,
    args: ["--no-sandbox", "--disable-dev-shm-usage", ...args],
  });
}
