// What tests of the demo page work with: real weights, a server of them, and tabs of a real browser.
import { makeWeights } from "../../lib/cli/demo_weights.ts";
import { type FileDigests, fileDigests } from "../../lib/cli/file_digests.ts";
import type { Page } from "../../scripts/chromium.ts";
import { type Lab, withLab } from "../cli/support/lab.ts";

/** A server of a model, and a page of it. */
export interface Stage {
  readonly lab: Lab;
  /** The model's folder. */
  readonly folder: string;
  /** Of the page, with a slash at the end. */
  readonly url: string;
}

const MODEL = "real-weights";

/** Serves 44 MB of real weights. */
export function withStage(use: (stage: Stage) => Promise<void>): Promise<void> {
  return withLab(async (lab) => {
    const { folder } = await makeWeights(lab.path(MODEL));
    const { process } = await lab.serve([folder, "--demo", "--listen", "http://127.0.0.1:0"]);
    const { demo } = await process.event("listening");
    await use({ lab, folder, url: String(demo) });
  });
}

/** The page by a link of known rate, so that there is a middle. */
export async function slowUrl({ lab, url }: Stage, bytesPerSecond: number): Promise<string> {
  const link = await lab.slowLink(url.replace("http:", "tcp:"), bytesPerSecond);
  return `${link.url.replace("tcp:", "http:")}/`;
}

/** Waits until this part of the model is here. */
export async function whenHere(page: Page, part: number): Promise<void> {
  await page.waitForFunction(
    (part) => (document.querySelector<HTMLProgressElement>("#total")?.value ?? 0) >= part,
    part,
  );
}

/** Waits until all of it is, or fails with what the page says. */
export async function whenDone(page: Page, told = ""): Promise<string> {
  const waiting = page.waitForFunction(() => {
    const failure = document.querySelector<HTMLElement>("#failure");
    if (failure && !failure.hidden) throw new Error(String(failure.textContent));
    const anew = document.querySelector<HTMLElement>("#anew");
    return anew && !anew.hidden;
  });
  await waiting.catch(async (cause) => {
    const said = await page.locator("main").textContent();
    throw new Error(`${told}: the page says ${said?.replace(/\s+/g, " ").slice(0, 500)}`, {
      cause,
    });
  });
  return (await page.locator("#status").textContent()) ?? "";
}

/** What the browser keeps of the model, read and hashed in the page. */
export async function digestsInPage(page: Page): Promise<FileDigests> {
  const found = await page.evaluate(async (model) => {
    const site = await navigator.storage.getDirectory();
    const demo = await site.getDirectoryHandle("headrace-demo");
    const folder = await demo.getDirectoryHandle(model);
    const digests: [string, string][] = [];
    for await (const entry of folder.values()) {
      if (entry.kind !== "file" || entry.name === "headrace-demo.version") continue;
      const bytes = await (await (entry as FileSystemFileHandle).getFile()).arrayBuffer();
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
      digests.push([entry.name, hex]);
    }
    return digests;
  }, MODEL);
  return new Map(found);
}

/** What is served. */
export const digestsOnDisk = ({ folder }: Stage): Promise<FileDigests> => fileDigests(folder);
