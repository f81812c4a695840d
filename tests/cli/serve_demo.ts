// What `headrace serve --demo` answers; what its page does is tested in a browser.
import { assert } from "chai";
import type { Suite } from "../harness.ts";
import { errorOf, withLab } from "./support/lab.ts";
import { type ModelPlan, shardName, tensorName } from "./support/model.ts";

const PLAN: ModelPlan = { shards: 1, tensors: 1, tensorBytes: 1000, seed: 3 };

/** As browsers ask for a page. */
const HTML = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };

export const serveDemoSuite: Suite = ({ test }) => {
  test("headrace serve --demo: has a page at / that may ask nobody else, and tensors beside it", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const tcp = ["--listen", "tcp://127.0.0.1:0"];
      const http = ["--listen", "http://127.0.0.1:0"];
      const { urls, process } = await lab.serve([source, "--demo", ...tcp, ...http]);
      const { demo } = await process.event("listening");
      assert.equal(demo, `${urls[1]}/`);
      const page = await fetch(String(demo), { headers: HTML });
      assert.equal(page.status, 200);
      assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
      assert.match(page.headers.get("content-security-policy") ?? "", /^default-src 'none';/);
      const html = await page.text();
      const files = Array.from(html.matchAll(/(?:src|href)="(\w[^":]*)"/g), ([, name]) => name);
      assert.sameMembers(files, ["page.js", "style.css"]);
      for (const name of [...files, "worker.js"]) {
        const { status, headers } = await fetch(`${demo}${name}`, { method: "HEAD" });
        assert.equal(status, 200, name);
        assert.isAbove(Number(headers.get("content-length")), 1000, name);
      }
      const tensor = `${urls[1]}/llama/${shardName(PLAN, 0)}/${tensorName(0, 0)}`;
      assert.equal((await (await fetch(tensor)).arrayBuffer()).byteLength, 1000);
      assert.equal((await fetch(`${demo}else.js`)).status, 404);
      // Programs find the list there, as without the page.
      const listed = await lab.run(["ls", urls[1] as string]);
      assert.equal(listed.code, 0, listed.stdout);
    }));

  test("headrace serve: has no page without --demo, which wants something to show", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { url } = await lab.serve([source, "--listen", "http://127.0.0.1:0"]);
      const root = await fetch(`${url}/`, { headers: HTML });
      assert.equal(root.headers.get("content-type"), "application/json");
      await root.body?.cancel();
      const exit = await lab.run(["serve", "--demo", "--accept", lab.path("in")]);
      assert.match(String(errorOf(exit, 2).message), /--demo needs/);
    }));
};
