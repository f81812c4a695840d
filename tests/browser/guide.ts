// docs/browser.md followed word for word, in a page of a real Chromium.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "chai";
import { encodeHeader } from "../../lib/formats/safetensors/encode_header.ts";
import type { TensorPeer } from "../../lib/session/peer.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import { bundle } from "../../scripts/bundle.ts";
import { startChromium } from "../../scripts/chromium.ts";
import { serveFolder } from "../../scripts/serve_folder.ts";
import { root } from "../../scripts/workspace.ts";
import { withLab } from "../cli/support/lab.ts";
import { guideModule } from "../guide_blocks.ts";
import type { Suite } from "../harness.ts";

/** What the guide's blocks export. */
interface Guide {
  load(url: string): Promise<Float32Array>;
  dial(webTransportUrl: string, webSocketUrl: string): TensorPeer;
  keep(peer: TensorPeer, name: string): Promise<File | undefined>;
}

/** What the page has of the guide. */
declare const guide: Guide;

const VALUES = [1, -2.5, 3];
/** Nobody listens there. */
const NO_WEBTRANSPORT = `https://127.0.0.1:9#sha256=${"00".repeat(32)}`;

/** The model of the guide: one tensor `w` of three numbers. */
async function writeTiny(folder: string): Promise<void> {
  const { raw } = encodeHeader([{ name: "w", descriptor: createDescriptor("F32", [3]) }]);
  await mkdir(folder);
  const bytes = new Uint8Array(new Float32Array(VALUES).buffer);
  await writeFile(join(folder, "model.safetensors"), Buffer.concat([raw, bytes]));
}

/** The guide's blocks as one module for a page. */
async function bundleGuide(outfile: string): Promise<void> {
  const parts = ["function load", "firstConnected", "OpfsCheckpointStore"];
  const modules = parts.map((part) => guideModule("browser", part));
  const entry = join(".cache", "guides", "browser.ts");
  const names = modules.map((_, n) => `part${n}`);
  const imports = modules.map(
    (path, n) => `import * as ${names[n]} from ${JSON.stringify(join(root, path))};\n`,
  );
  const given = `globalThis.guide = { ${names.map((name) => `...${name}`).join(", ")} };\n`;
  await writeFile(join(root, entry), imports.join("") + given);
  await bundle(entry, outfile, ["browser"]);
}

/** @param program Chromium's. */
export const browserGuideSuite =
  (program: string): Suite =>
  ({ test }) => {
    test("browser guide: a page loads a tensor, and keeps another in its files (chromium only)", () =>
      withLab(async (lab) => {
        const [site, model] = [lab.path("site"), lab.path("tiny")];
        await writeTiny(model);
        await mkdir(site);
        await bundleGuide(join(site, "guide.js"));
        await writeFile(
          join(site, "index.html"),
          '<script type="module" src="/guide.js"></script>',
        );
        const server = await serveFolder(site);
        const browser = await startChromium(program);
        try {
          const listen = ["--listen", "http://127.0.0.1:0", "--cors", new URL(server.url).origin];
          const { url } = await lab.serve([model, ...listen]);
          const page = await browser.newPage();
          await page.goto(server.url);
          const urls = {
            module: "/guide.js",
            webSocket: url.replace("http", "ws"),
            NO_WEBTRANSPORT,
          };
          const found = await page.evaluate(async ({ webSocket, NO_WEBTRANSPORT }) => {
            const { load, dial, keep } = guide;
            const loaded = await load(webSocket);
            const peer = dial(NO_WEBTRANSPORT, webSocket);
            const file = await keep(peer, "tiny");
            await peer.close();
            const kept = new Float32Array((await file?.arrayBuffer()) ?? new ArrayBuffer());
            return { loaded: [...loaded], kept: [...kept] };
          }, urls);
          assert.deepEqual(found, { loaded: VALUES, kept: VALUES });
        } finally {
          await browser.close();
          await server.close();
        }
      }));
  };
