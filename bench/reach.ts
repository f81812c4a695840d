// How fast does a tensor reach a page of Chromium, and a worker of workerd?
//
//   node bench/reach.ts [--rounds=7] [--bytes=134217728] [--only=chromium/webtransport]
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { bundle } from "../scripts/bundle.ts";
import { startChromium } from "../scripts/chromium.ts";
import { findRuntimes, installRuntimes } from "../scripts/runtimes.ts";
import { serveFolder } from "../scripts/serve_folder.ts";
import { startWorkerd } from "../scripts/workerd.ts";
import { withScratchFolder } from "../scripts/workspace.ts";
import { makeCertificate } from "../tests/transports/certificate.ts";
import { sendBare } from "./lib/bare_transport.ts";
import { compare, flag } from "./lib/compare.ts";
import type { ReachPage } from "./lib/reach/page.ts";
import type { Ask, Received } from "./lib/reach/receive.ts";
import { playTransfer, type Way } from "./lib/transfer.ts";
import { certificateHere, leaveCertificate, type Transport } from "./lib/transports.ts";
import { ownPart, type Part, say, startPart } from "./lib/two_processes.ts";

declare const reachPage: ReachPage;

const MiB = 1024 * 1024;
const VERIFIED_BYTES = 8 * MiB + 12345;

/** Who receives, over what, from which runtime. */
interface Route {
  readonly receiver: "chromium" | "workerd";
  readonly transport: Transport;
  readonly sender: "deno" | "node";
}

const ROUTES: readonly Route[] = [
  { receiver: "chromium", transport: "websocket", sender: "deno" },
  { receiver: "chromium", transport: "webtransport", sender: "deno" },
  { receiver: "workerd", transport: "websocket", sender: "node" },
  { receiver: "workerd", transport: "tcp", sender: "node" },
];

const wayOf = (over: Way["over"], transport: Transport): Way => ({
  over,
  transport,
  digest: true,
  content: "random",
  begins: over === "raw" ? "send" : "receive",
});

/** Something that receives when it is asked. */
interface Receiver {
  receive(ask: Ask): Promise<Received>;
  close(): Promise<void>;
}

async function openPage(command: string, folder: string): Promise<Receiver> {
  await bundle("bench/lib/reach/page.ts", join(folder, "page.js"), ["browser"]);
  writeFileSync(join(folder, "index.html"), '<script type="module" src="/page.js"></script>');
  const server = await serveFolder(folder);
  const browser = await startChromium(command);
  return {
    async receive(ask) {
      const page = await browser.newPage();
      await page.goto(server.url);
      const received = await page.evaluate((ask) => reachPage.receive(ask), ask);
      await page.close();
      return received;
    },
    close: async () => {
      await browser.close();
      await server.close();
    },
  };
}

async function openWorker(command: string, folder: string): Promise<Receiver> {
  const file = join(folder, "worker.js");
  await bundle("bench/lib/reach/worker.ts", file, ["workerd"]);
  const { url, close } = await startWorkerd(command, folder, file);
  return {
    async receive(ask) {
      const response = await fetch(url, { method: "POST", body: JSON.stringify(ask) });
      if (!response.ok) throw new Error(await response.text());
      return (await response.json()) as Received;
    },
    close,
  };
}

const OPEN = { chromium: openPage, workerd: openWorker } as const;

async function main(): Promise<void> {
  await installRuntimes();
  const { found } = await findRuntimes();
  const commandOf = (kind: string): string => {
    const command = found.find((runtime) => runtime.kind === kind)?.command;
    if (command === undefined) throw new Error(`There is no ${kind} on this machine.`);
    return command;
  };
  leaveCertificate(makeCertificate());
  const bytes = Number(flag("bytes", String(128 * MiB)));
  const only = flag("only", "");
  for (const { receiver, transport, sender } of ROUTES) {
    const name = `${receiver}/${transport}`;
    if (!name.startsWith(only)) continue;
    await withScratchFolder(async (folder) => {
      const open = await OPEN[receiver](commandOf(receiver), folder);
      const senderCommand = sender === "node" ? process.execPath : commandOf(sender);
      const run = async (over: Way["over"], size: number, digest: boolean) => {
        const part: Part = { variant: `${transport}/${over}`, role: "send", bytes: size, digest };
        const running = startPart(senderCommand, import.meta.url, part);
        try {
          const port = Number(await running.line());
          const { sha256 } = certificateHere();
          const ask = { over, transport, port, sha256, bytes: size, digest };
          const received = await open.receive(ask);
          if (received.bytes !== size) throw new Error(`${received.bytes} of ${size} arrived.`);
          const sent = JSON.parse(await running.line());
          await running.exited;
          return { ...received, cpuSendSeconds: sent.cpuSeconds };
        } finally {
          running.kill();
        }
      };
      const variants = (["raw", "headrace"] as const).map((over) => ({
        name: over === "raw" ? `bare ${transport} + XXH32 + SHA-256` : "headrace pull",
        run: () => run(over, bytes, false),
        verify: async () => (await run(over, VERIFIED_BYTES, true)).digest ?? "",
      }));
      await compare({
        name: `reach-${receiver}-${transport}`,
        rounds: Number(flag("rounds", "7")),
        variants,
        floor: variants[0]?.name ?? "",
        about:
          `${bytes / MiB} MiB from ${sender} over ${transport} into ${receiver}, to a sink that drops ` +
          "what is verified. Floor: 64 KiB a message or write, each MiB gathered, XXH32 and SHA-256 " +
          "of it at both ends.",
      }).finally(() => open.close());
    });
  }
}

const part = ownPart();
if (part === undefined) await main();
else {
  const [transport, over] = part.variant.split("/") as [Transport, Way["over"]];
  const way = wayOf(over, transport);
  if (over === "headrace") await playTransfer(part, way);
  else say(JSON.stringify(await sendBare(part, way)));
  // What was said last is still on its way out of some runtimes.
  await new Promise((resolve) => setTimeout(resolve, 100));
  process.exit(0);
}
