// The page of `headrace serve --demo` in a real Chromium, driven from outside.
import { readdir, utimes } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "chai";
import { differenceOf } from "../../lib/cli/file_digests.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { type Browser, type Page, startChromium, startProfile } from "../../scripts/chromium.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import {
  digestsInPage,
  digestsOnDisk,
  type Stage,
  slowUrl,
  whenDone,
  whenHere,
  withStage,
} from "./stage.ts";

const PATIENCE_MS = 120_000;
const ROUNDS = 10;
/** Four times what a phone's screen shows in one go takes; a middle to press buttons in. */
const SLOW_BYTES_PER_SECOND = 8_000_000;

/** What a page said of its troubles and asked of others. */
interface Watched {
  readonly page: Page;
  readonly troubles: readonly string[];
  readonly requests: readonly string[];
}

function watched(page: Page): Watched {
  const [troubles, requests] = [[], []] as [string[], string[]];
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("pageerror", (error) => void troubles.push(String(error.stack)));
  page.on("console", (said) => {
    if (said.type() === "error") troubles.push(said.text());
  });
  page.on("request", (request) => void requests.push(request.url()));
  return { page, troubles, requests };
}

/** Loads it from its first byte, whatever an earlier visit has left. */
async function load(page: Page): Promise<void> {
  const isShown = (id: string) => document.querySelector<HTMLElement>(`#${id}`)?.hidden === false;
  await page.waitForFunction(isShown, "choice");
  await page.locator("#load").click();
}

/** The list shows this tensor alone, whose panel is opened. */
async function openOnly(page: Page, name: string): Promise<void> {
  await page.locator("#filter").fill(name);
  await page.locator(".opener").first().click();
}

const stateOf = (page: Page) => page.locator(".tensor").first().getAttribute("data-state");

/** @param program Chromium's. */
export const demoPageSuite =
  (program: string): Suite =>
  ({ test: register }) => {
    const test: typeof register = (name, body) =>
      register(`demo page: ${name} (chromium only)`, body);

    const withBrowser = async (args: string[], use: (browser: Browser) => Promise<void>) => {
      const browser = await startChromium(program, args);
      try {
        await use(browser);
      } finally {
        await browser.close();
      }
    };

    /** A page in a browser of its own; nothing may fail in it, or be asked of anybody else. */
    const withPage = (rate: number | undefined, use: (page: Page, stage: Stage) => Promise<void>) =>
      withStage((stage) =>
        withBrowser([], async (browser) => {
          const url = rate === undefined ? stage.url : await slowUrl(stage, rate);
          const { page, troubles, requests } = watched(await browser.newPage());
          await page.goto(url);
          await use(page, stage);
          assert.deepEqual(troubles, []);
          const strangers = requests.filter((one) => !/^data:/.test(one) && !one.startsWith(url));
          assert.deepEqual(strangers, [], "what was asked of others");
        }),
      );

    test("a tab closed or crashed at any moment goes on from its files, ten times in a row", () =>
      withTempFolder((profile) =>
        withStage(async (stage) => {
          const wanted = await digestsOnDisk(stage);
          const random = new SeededRandom(64);
          const context = await startProfile(program, profile);
          try {
            for (let round = 0; round < ROUNDS; round++) {
              const part = 0.02 + 0.75 * random.unit(); // beyond, it may be done before it is closed
              const crashes = round % 3 === 2;
              const told = `round ${round}, ${crashes ? "crashed" : "closed"} at ${part}`;
              const first = watched(await context.newPage());
              await first.page.goto(stage.url);
              await load(first.page);
              if (round > 0) {
                // It is all here from the round before.
                await whenDone(first.page, told);
                await first.page.locator("#anew").click();
              }
              await first.page.waitForFunction(isUnderWay);
              await whenHere(first.page, part);
              if (crashes) await first.page.goto("chrome://crash").catch(() => {});
              await first.page.close();
              const { page, troubles } = watched(await context.newPage());
              await page.goto(stage.url); // nothing is pressed
              assert.match(await whenDone(page, told), /every byte verified, kept in this browser/);
              assert.match(
                (await page.locator("#numbers").textContent()) ?? "",
                /\d MB were here already/,
                told,
              );
              assert.isUndefined(differenceOf(wanted, await digestsInPage(page)), told);
              assert.deepEqual(troubles, [], told);
              await page.close();
            }
          } finally {
            await context.close();
          }
        }),
      ));

    test("a tensor that is paused stays away while all others come, and comes once it is resumed", () =>
      withPage(SLOW_BYTES_PER_SECOND, async (page, stage) => {
        await load(page);
        await page.locator("#pause-all").click();
        await page.locator("#filter").fill(LATE);
        await page.getByRole("button", { name: `Resume ${LATE}` }).waitFor();
        const before = await page.locator("#total").getAttribute("value");
        assert.isBelow(Number(before), 1);
        await page.locator("#resume-all").click();
        await page.getByRole("button", { name: `Pause ${LATE}` }).click();
        // All but this one, which is the longest of its kind.
        await page.locator("#filter").fill("");
        await page.waitForFunction(
          (bytes) => document.querySelector("#numbers")?.textContent?.includes(bytes),
          "42.7 MB of 44.3 MB",
        );
        await page.locator("#filter").fill(LATE);
        assert.equal(await stateOf(page), "paused");
        assert.isFalse(await page.locator("#anew").isVisible());
        await page.getByRole("button", { name: `Resume ${LATE}` }).click();
        await whenDone(page);
        assert.isUndefined(differenceOf(await digestsOnDisk(stage), await digestsInPage(page)));
      }));

    test("a tensor that is made critical comes before what was asked for first", () =>
      withPage(SLOW_BYTES_PER_SECOND, async (page) => {
        await load(page);
        await page.locator("#pause-all").click();
        await openOnly(page, LATE);
        const critical = page.getByRole("button", { name: "Critical", exact: true });
        assert.equal(await critical.getAttribute("aria-pressed"), "false");
        await critical.click();
        assert.equal(await critical.getAttribute("aria-pressed"), "true");
        const normal = page.getByRole("button", { name: "Normal", exact: true });
        assert.equal(await normal.getAttribute("aria-pressed"), "false");
        await page.locator("#resume-all").click();
        await page.locator('.tensor[data-state="here"]').waitFor();
        assert.isBelow(await page.evaluate(totalNow), 0.9);
        await page.locator("canvas.map").waitFor();
        await whenDone(page);
      }));

    test("all of it can be done by keyboard, and the focus is always seen", () =>
      withPage(undefined, async (page) => {
        await page.waitForFunction(() => document.querySelector("#choice:not([hidden])"));
        const focused: string[] = [];
        const tabTo = async (wanted: RegExp) => {
          for (let step = 0; step < 20; step++) {
            await page.keyboard.press("Tab");
            const { name, outline } = await page.evaluate(focusNow);
            focused.push(name);
            assert.isAtLeast(outline, 2, `${name} shows no focus`);
            if (wanted.test(name)) return;
          }
          assert.fail(`Tab does not come to ${wanted}: ${focused.join(", ")}`);
        };
        await tabTo(/^Load$/);
        await page.keyboard.press("Enter");
        await whenDone(page);
        await tabTo(/^Filter by name$/);
        await page.keyboard.type(LATE);
        await tabTo(/linear_85/);
        await page.keyboard.press("Enter");
        await page.locator("canvas.map").waitFor();
        await page.keyboard.press(" ");
        assert.equal(await page.locator(".opener").first().getAttribute("aria-expanded"), "false");
        await tabTo(/^Server$/);
        await page.keyboard.press("Enter");
        await tabTo(/^Address$/);
        await tabTo(/^Connect$/);
      }));

    test("everything has a role and a name, and pictures have words", () =>
      withPage(SLOW_BYTES_PER_SECOND, async (page) => {
        await load(page);
        await page.locator("#pause-all").click();
        await openOnly(page, LATE);
        const moving = await page.locator("body").ariaSnapshot();
        for (const wanted of [
          /heading "headrace" \[level=1\]/,
          /combobox "Model"/,
          /button "Pause all" \[disabled\]/,
          /button "Resume all"/,
          /status/,
          /progressbar "Progress of the whole model"/,
          /searchbox "Filter by name"/,
          /heading "Tensors 1,560" \[level=2\]/,
          /button "ocr\.recognise\.linear_85\.w_0\.f16" \[expanded\]/,
          /progressbar "Progress of ocr\.recognise\.linear_85\.w_0\.f16"/,
          /group "Priority of ocr\.recognise\.linear_85\.w_0\.f16"/,
          /button "Normal" \[pressed\]/,
        ]) {
          assert.match(moving, wanted);
        }
        assert.equal(await page.locator("[aria-live]").count(), 1, "one voice, and a polite one");
        assert.equal(await page.locator("#status").getAttribute("aria-live"), "polite");
        await page.locator("#resume-all").click();
        await whenDone(page);
        const done = await page.locator("body").ariaSnapshot();
        assert.match(done, /img "Histogram of ocr\.recognise\.linear_85.*795,000 values from/);
        assert.match(done, /img "Heat map of ocr\.recognise\.linear_85.* cells/);
        assert.notMatch(done, /button( \[.*)?$/m, "a button without a name");
      }));

    test("words stand out from what is behind them, in the light and in the dark", () =>
      withStage((stage) =>
        withBrowser([], async (browser) => {
          for (const colorScheme of ["light", "dark"] as const) {
            const context = await browser.newContext({ colorScheme });
            const page = await context.newPage();
            await page.goto(stage.url);
            for (const [front, back] of PAIRS) {
              const contrast = await page.evaluate(contrastOf, [front, back] as const);
              assert.isAtLeast(contrast, 4.5, `${front} on ${back}, ${colorScheme}`);
            }
            await context.close();
          }
        }),
      ));

    test("a phone shows it without scrolling to the side", () =>
      withStage((stage) =>
        withBrowser([], async (browser) => {
          const context = await browser.newContext({ viewport: { width: 360, height: 740 } });
          const { page } = watched(await context.newPage());
          await page.goto(stage.url);
          await load(page);
          await whenDone(page);
          await openOnly(page, LATE);
          await page.locator("canvas.map").waitFor();
          assert.isAtMost(await page.evaluate(() => document.documentElement.scrollWidth), 360);
        }),
      ));

    test("who does not answer is said, and another address can be given", () =>
      withStage((stage) =>
        withBrowser([], async (browser) => {
          const { page } = watched(await browser.newPage());
          await page.goto(stage.url);
          await page.locator("#choice").waitFor();
          await page.locator("#server summary").click();
          const url = page.locator("#url");
          const right = stage.url.replace(/^http(.*)\/$/, "ws$1");
          await url.fill("ws://127.0.0.1:1");
          await url.press("Enter");
          await page.locator("#failure").waitFor();
          assert.match((await page.locator("#why").textContent()) ?? "", /127\.0\.0\.1:1/);
          await url.fill(right);
          await url.press("Enter");
          await page.locator("#failure").waitFor({ state: "hidden" });
          await load(page);
          await whenDone(page);
        }),
      ));

    test("a model that changes while it comes is said, nothing more is begun, and it goes on", () =>
      withPage(SLOW_BYTES_PER_SECOND, async (page, stage) => {
        await load(page);
        await whenHere(page, 0.1);
        const names = (await readdir(stage.folder)).filter((name) => name.endsWith(".safetensors"));
        const now = new Date();
        for (const name of names) await utimes(join(stage.folder, name), now, now);
        await page.locator("#failure").waitFor();
        assert.match((await page.locator("#why").textContent()) ?? "", /version|changed/);
        const goOn = page.getByRole("button", { name: "Go on" });
        await goOn.waitFor();
        assert.isFalse(await page.locator("#pause-all").isVisible());
        assert.equal(await page.locator('.tensor[data-state="moving"]').count(), 0);
        await goOn.click();
        await page.locator("#failure").waitFor({ state: "hidden" });
        await whenDone(page);
        assert.isUndefined(differenceOf(await digestsOnDisk(stage), await digestsInPage(page)));
      }));

    test("without a secure context it works with what is there, and says what is missing", () =>
      withStage((stage) =>
        withBrowser(["--host-resolver-rules=MAP 10.9.8.7 127.0.0.1"], async (browser) => {
          const { page, troubles } = watched(await browser.newPage());
          await page.goto(stage.url.replace("127.0.0.1", "10.9.8.7"));
          assert.isFalse(await page.evaluate(() => isSecureContext || "subtle" in crypto));
          const missing = (await page.locator("#missing-list").textContent()) ?? "";
          for (const wanted of [/SHA-256/, /OPFS/, /https:/]) assert.match(missing, wanted);
          assert.isTrue(await page.locator("#missing").isVisible());
          await load(page);
          assert.match(await whenDone(page), /every byte verified, kept in memory/);
          await openOnly(page, LATE);
          await page.locator("canvas.map").waitFor();
          assert.match((await page.locator("figcaption").textContent()) ?? "", /795,000 values/);
          assert.deepEqual(troubles, []);
        }),
      ));
  };

/** One of the last tensors, and of the longest. */
const LATE = "ocr.recognise.linear_85.w_0.f16";

const PAIRS = [
  ["--ink", "--paper"],
  ["--ink", "--sheet"],
  ["--soft", "--paper"],
  ["--accent", "--paper"],
  ["--on-accent", "--accent"],
  ["--warn", "--warn-sheet"],
  ["--ink", "--warn-sheet"],
  ["--bad", "--bad-sheet"],
  ["--ink", "--bad-sheet"],
] as const;

/** Whether what an earlier visit had is gone, and this one's has begun. */
const isUnderWay = () =>
  document.querySelector("#pause-all")?.hasAttribute("hidden") === false &&
  (document.querySelector<HTMLProgressElement>("#total")?.value ?? 1) < 1;

const totalNow = () => document.querySelector<HTMLProgressElement>("#total")?.value ?? 0;

/** What has the focus, and how wide the line around it is. */
function focusNow(): { name: string; outline: number } {
  const element = document.activeElement as HTMLElement;
  const labels = (element as HTMLInputElement).labels;
  const name = element.ariaLabel ?? labels?.[0]?.textContent ?? element.textContent ?? "";
  return { name: name.trim(), outline: Number.parseFloat(getComputedStyle(element).outlineWidth) };
}

/** As WCAG 2 defines it, between two colours of the style sheet. */
function contrastOf(names: readonly [string, string]): number {
  const lights = names.map((name) => {
    const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const [r = 0, g = 0, b = 0] = [1, 3, 5]
      .map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  });
  const [dark = 0, light = 0] = lights.sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}
