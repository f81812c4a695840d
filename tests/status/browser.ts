// Chromium for a test, where the system has one.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { root } from "../../scripts/workspace.ts";

/** As much of playwright's locator as the tests use. */
export interface Locator {
  first(): Locator;
  locator(selector: string): Locator;
  click(): Promise<void>;
  fill(text: string): Promise<void>;
  focus(): Promise<void>;
  press(key: string): Promise<void>;
  selectOption(value: string): Promise<unknown>;
  count(): Promise<number>;
  textContent(): Promise<string | null>;
  waitFor(options?: { state?: "visible" | "hidden" | "detached" }): Promise<void>;
}

/** As much of playwright's page as the tests use. */
export interface Page {
  goto(url: string): Promise<unknown>;
  reload(): Promise<unknown>;
  locator(selector: string, options?: { hasText?: string | RegExp }): Locator;
  evaluate<T>(code: string): Promise<T>;
  waitForFunction(code: string): Promise<unknown>;
  keyboard: { press(key: string): Promise<void> };
}

interface Browser {
  newPage(options: object): Promise<Page & { on(event: string, told: (it: never) => void): void }>;
  close(): Promise<void>;
}

/** What a page did that no page of ours should do. */
export type Faults = string[];

const CHROMIUM: string | undefined = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(
  (path) => existsSync(path),
);

/** Runs `body` with a page in a browser of its own; says so loudly where there is no browser. */
export async function withPage(
  options: object,
  body: (page: Page, faults: Faults) => Promise<void>,
): Promise<void> {
  if (CHROMIUM === undefined) {
    console.warn("SKIPPED: there is no Chromium (Debian: apt-get install chromium)");
    return;
  }
  const { chromium } = createRequire(join(root, "tests/runtimes/package.json"))(
    "playwright-core",
  ) as { chromium: { launch(options: object): Promise<Browser> } };
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--headless=new", "--no-sandbox"],
  });
  try {
    const faults: Faults = [];
    const page = await browser.newPage(options);
    page.on("pageerror", (error: Error) => void faults.push(error.message));
    page.on("console", (message: { type(): string; text(): string }) => {
      if (message.type() === "error") faults.push(message.text());
    });
    page.on("request", (request: { url(): string }) => {
      if (!/^(http:\/\/127\.0\.0\.1:|data:)/.test(request.url())) faults.push(request.url());
    });
    await body(page, faults);
  } finally {
    await browser.close();
  }
}
