// A page of Chromium for a test, where the system has one.
import {
  findChromium,
  type Page,
  type PageOptions,
  startChromium,
} from "../../scripts/chromium.ts";
import { skipLoudly } from "../skip_loudly.ts";

/** What a page did that no page of ours should do. */
export type Faults = string[];

/** Runs `body` with a page in a browser of its own; says so loudly where there is no browser. */
export async function withPage(
  options: PageOptions,
  body: (page: Page, faults: Faults) => Promise<void>,
): Promise<void> {
  const program = findChromium();
  if (program === undefined) return skipLoudly("Chromium");
  const browser = await startChromium(program);
  try {
    const faults: Faults = [];
    const page = await (await browser.newContext(options)).newPage();
    page.on("pageerror", (error) => void faults.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") faults.push(message.text());
    });
    page.on("request", (request) => {
      if (!/^(http:\/\/127\.0\.0\.1:|data:)/.test(request.url())) faults.push(request.url());
    });
    await body(page, faults);
  } finally {
    await browser.close();
  }
}
