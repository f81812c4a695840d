// Finds and starts the system's Chromium, which no package of npm brings.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { root } from "./workspace.ts";

/** What of playwright-core is used; it is installed in tests/runtimes/. */
export interface Locator {
  click(): Promise<void>;
  fill(text: string): Promise<void>;
  focus(): Promise<void>;
  first(): Locator;
  count(): Promise<number>;
  textContent(): Promise<string | null>;
  getAttribute(name: string): Promise<string | null>;
  isVisible(): Promise<boolean>;
  locator(selector: string): Locator;
  press(key: string): Promise<void>;
  selectOption(value: string): Promise<unknown>;
  waitFor(options?: { readonly state: "visible" | "hidden" | "detached" }): Promise<void>;
  ariaSnapshot(): Promise<string>;
}

/** A tab. */
export interface Page {
  readonly keyboard: { press(key: string): Promise<void>; type(text: string): Promise<void> };
  goto(url: string): Promise<unknown>;
  evaluate<T, A>(work: string | ((argument: A) => T | Promise<T>), argument?: A): Promise<T>;
  waitForFunction<A>(work: string | ((argument: A) => unknown), argument?: A): Promise<unknown>;
  setDefaultTimeout(timeoutMs: number): void;
  getByRole(role: string, options: { readonly name: string | RegExp; exact?: boolean }): Locator;
  locator(selector: string, options?: { readonly hasText?: string | RegExp }): Locator;
  reload(): Promise<unknown>;
  on(event: "console", listener: (message: { text(): string; type(): string }) => void): unknown;
  on(event: "pageerror", listener: (error: Error) => void): unknown;
  on(event: "request", listener: (request: { url(): string }) => void): unknown;
  close(): Promise<void>;
}

/** Tabs that share what sites have kept. */
export interface BrowserContext {
  newPage(): Promise<Page>;
  close(): Promise<void>;
}

/** What a tab looks like. */
export interface PageOptions {
  readonly colorScheme?: "light" | "dark";
  readonly viewport?: { readonly width: number; readonly height: number };
}

/** A running browser. */
export interface Browser extends BrowserContext {
  newContext(options?: PageOptions): Promise<BrowserContext>;
}

interface LaunchOptions {
  readonly executablePath: string;
  readonly args: readonly string[];
}

interface Playwright {
  readonly chromium: {
    launch(options: LaunchOptions): Promise<Browser>;
    launchPersistentContext(folder: string, options: LaunchOptions): Promise<BrowserContext>;
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
export function startChromium(program: string, args: readonly string[] = []): Promise<Browser> {
  return playwright().chromium.launch(optionsOf(program, args));
}

/** Starts it with a profile of its own in a folder, as people have. */
export function startProfile(program: string, folder: string): Promise<BrowserContext> {
  return playwright().chromium.launchPersistentContext(folder, optionsOf(program, []));
}

function playwright(): Playwright {
  return createRequire(join(root, "tests/runtimes/package.json"))("playwright-core");
}

const optionsOf = (executablePath: string, args: readonly string[]): LaunchOptions => ({
  executablePath,
  args: ["--no-sandbox", "--disable-dev-shm-usage", ...args],
});
