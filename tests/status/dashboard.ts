// The page for people, in a real browser.
import { assert } from "chai";
import { StatusServer, statusUrlOf } from "../../lib/cli/status_server.ts";
import type { Transfer } from "../../lib/session/transfer.ts";
import { VERSION } from "../../lib/version.ts";
import { dashboardSource } from "../../scripts/dashboard_source.ts";
import { readJson, readText } from "../../scripts/workspace.ts";
import type { Suite } from "../harness.ts";
import { turn } from "../transports/conformance.ts";
import { withPage } from "./browser.ts";
import { ShownNode, TOKEN } from "./support.ts";

interface Served {
  readonly node: ShownNode;
  readonly url: string;
  close(): Promise<void>;
}

async function serve(
  tensors: number,
  options: { origins?: string[]; node?: string } = {},
): Promise<Served> {
  const node = new ShownNode(tensors);
  const { registry } = node;
  const authorise = (token: string | undefined) => token === TOKEN;
  const shown = { registry, authorise, node: "gpu-1", ...options };
  const server = await StatusServer.open(statusUrlOf("127.0.0.1:0", {}), shown, {});
  const close = async () => {
    await server.close();
    await node.close();
  };
  return { node, url: server.url, close };
}

async function hasPriority(transfer: Transfer | undefined, priority: number): Promise<void> {
  while (transfer?.priority !== priority) await turn();
}

export const dashboardSuite: Suite = ({ runtime, test }) => {
  if (!runtime.startsWith("node")) return;

  test("dashboard: what is served is what its sources make (node only)", () => {
    const served = readText("lib/status/dashboard_files.ts");
    const why = "run `npm run build && node dist/scripts/build_dashboard.js`";
    assert.isTrue(served === dashboardSource(), why);
  });

  test("status: the version it says is the package's (node only)", () => {
    assert.equal(VERSION, readJson<{ version: string }>("package.json").version);
  });

  test("dashboard: without the token nothing is changed; with it, transfers are (node only)", async () => {
    const served = await serve(3);
    const { node, url } = served;
    const [first, second] = await node.ask();
    await withPage({ viewport: { width: 390, height: 844 } }, async (page, faults) => {
      await page.goto(url);
      const row = (name: string) => page.locator(".row", { hasText: name });
      await row("w.0").waitFor();
      const dialog = page.locator("#token-dialog");
      // Nobody gives a token.
      await row("w.0").locator("select").selectOption("200");
      await dialog.waitFor();
      await page.locator("#token-never").click();
      await dialog.waitFor({ state: "hidden" });
      // A wrong one is refused, and asked for again.
      await row("w.0").locator("button").click();
      await page.locator("#cancel-form .danger").click();
      await page.locator("#token").fill("wrong");
      await page.locator("#token").press("Enter");
      await page.locator("#token-why", { hasText: "not the right one" }).waitFor();
      assert.equal(first?.isOver, false);
      assert.equal(first?.priority, 50);
      await page.locator("#token").fill(TOKEN);
      await page.locator("#token").press("Enter");
      await first?.done.catch(() => {});
      assert.equal(first?.status, "cancelled");
      await page.locator(".row.cancelled", { hasText: "w.0" }).waitFor();
      // It is asked for once.
      await row("w.1").locator("select").selectOption("200");
      await hasPriority(second, 200);
      await page.reload();
      await page.locator(".row", { hasText: "w.1" }).waitFor();
      await row("w.1").locator("select").selectOption("0");
      await hasPriority(second, 0);
      assert.equal(await page.evaluate("localStorage.length"), 0);
      // The browser itself says so of each refusal.
      assert.deepEqual(
        faults.filter((fault) => !/ 401 /.test(fault)),
        [],
      );
    });
    await served.close();
  });

  test("dashboard: the keyboard does it as well (node only)", async () => {
    const served = await serve(3);
    const { node, url } = served;
    const transfers = await node.ask();
    await withPage({ viewport: { width: 1280, height: 900 } }, async (page, faults) => {
      await page.goto(url);
      await page.evaluate(`sessionStorage.setItem("headrace-token ${url}", "${TOKEN}")`);
      await page.locator(".row").first().waitFor();
      await page.locator("#rows").focus();
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("+");
      await hasPriority(transfers[0], 100);
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("-");
      await hasPriority(transfers[1], 0);
      await page.keyboard.press("Delete");
      await page.locator("#cancel-dialog").waitFor();
      await page.locator("#cancel-form .danger").focus();
      await page.keyboard.press("Enter");
      await transfers[1]?.done.catch(() => {});
      assert.equal(transfers[1]?.status, "cancelled");
      assert.equal(transfers[0]?.isOver, false);
      assert.deepEqual(faults, []);
    });
    await served.close();
  });

  test("dashboard: bars move to the end, whatever a peer says stays text, nothing comes from outside (node only)", async () => {
    const served = await serve(1, { node: "<img src=x onerror=alert(1)>" });
    const { node, url } = served;
    const evil = { model: "<b>m", partition: "p", tensor: "<img src=x onerror=alert(1)>" };
    const failed = node.client.requestTensor(evil, { into: "memory" });
    await failed.done.catch(() => {});
    const [transfer] = await node.ask();
    await withPage({ colorScheme: "dark" }, async (page, faults) => {
      await page.goto(url);
      await page.locator(".row.failed", { hasText: "<img src=x onerror=alert(1)>" }).waitFor();
      await page.locator(".row.in_progress").waitFor();
      const scale = `document.querySelector(".row.out .bar i").style.transform`;
      assert.equal(await page.evaluate(scale), "scaleX(0)");
      node.letGo();
      await transfer?.done;
      await page.locator(".row.complete").waitFor();
      await page.waitForFunction(`${scale} === "scaleX(1)"`);
      assert.equal(
        await page.evaluate("document.querySelectorAll('#list img, header img, b b').length"),
        0,
      );
      await page.locator("#chart canvas").waitFor();
      assert.deepEqual(faults, []);
    });
    await served.close();
  });

  test("dashboard: of 2,000 transfers only what is to be seen is in the page, and the filter finds each (node only)", async () => {
    const served = await serve(1000);
    const other = await serve(1000, { origins: [served.url], node: "gpu-2" });
    await served.node.ask();
    await other.node.ask();
    await withPage({ viewport: { width: 1280, height: 900 } }, async (page, faults) => {
      await page.goto(`${served.url}/?peer=${other.url}&peer=javascript:alert(1)`);
      await page.locator("#transfer-count", { hasText: /^2,000$/ }).waitFor();
      await page.locator("#nodes", { hasText: "gpu-2" }).waitFor();
      assert.isBelow(await page.locator(".row").count(), 40);
      await page.evaluate("document.querySelector('#rows').scrollTop = 1e9");
      await page.locator(".row", { hasText: "w.999" }).waitFor();
      assert.isBelow(await page.locator(".row").count(), 40);
      await page.locator("#filter").fill("w.77 gpu-2");
      await page.locator("#transfer-count", { hasText: /^11 of 2,000$/ }).waitFor();
      await page.locator("#filter").fill("nothing like that");
      await page.locator("#no-transfers").waitFor();
      assert.deepEqual(faults, []);
    });
    await served.close();
    await other.close();
  });

  test("dashboard: a node that does not let the page in is shown as lost (node only)", async () => {
    const [served, other] = [await serve(1), await serve(1)];
    await served.node.ask();
    await withPage({}, async (page) => {
      await page.goto(`${served.url}/?peer=${other.url}`);
      await page.locator(".row").first().waitFor();
      await page.locator("#nodes .lost").waitFor();
      assert.equal(await page.locator(".row").count(), 1);
    });
    await served.close();
    await other.close();
  });
};
