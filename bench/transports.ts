// How fast does one large tensor move over each transport, held against the bare transport?
//
//   deno run -A --unstable-net bench/transports.ts [--rounds=15] [--bytes=1073741824] [--only=websocket,webtransport]
import process from "node:process";
import { makeCertificate } from "../tests/transports/certificate.ts";
import { askQuestion } from "./lib/ask_question.ts";
import { receiveBare, sendBare } from "./lib/bare_transport.ts";
import { flag } from "./lib/compare.ts";
import { playTransfer, type Way } from "./lib/transfer.ts";
import { leaveCertificate, type Transport } from "./lib/transports.ts";
import { ownPart, say } from "./lib/two_processes.ts";

const MiB = 1024 * 1024;

/** Those of this runtime: the first way is the floor. */
function waysOf(transport: Transport): Record<string, Way> {
  const shared = { transport, digest: true, content: "random" } as const;
  return {
    [`bare ${transport} + XXH32 + SHA-256`]: { over: "raw", ...shared, begins: "send" },
    "headrace pull": { over: "headrace", ...shared },
    "headrace push": { over: "headrace", ...shared, begins: "send" },
  };
}

const HERE: readonly Transport[] =
  "Deno" in globalThis ? ["websocket", "webtransport"] : ["websocket"];

async function main(): Promise<void> {
  const bytes = Number(flag("bytes", String(1024 * MiB)));
  leaveCertificate(makeCertificate());
  for (const transport of flag("only", HERE.join(",")).split(",") as Transport[]) {
    await askQuestion(import.meta.url, {
      name: `transports-${transport}`,
      question: transport,
      ways: waysOf(transport),
      bytes,
      about:
        `${bytes / MiB} MiB from memory, two processes on loopback, to a sink that drops what is ` +
        "verified. Floor: the runtime's own, 64 KiB a message or write, each MiB gathered, XXH32 " +
        "and SHA-256 of it at both ends.",
    });
  }
}

const part = ownPart();
if (part === undefined) await main();
else {
  const [transport = "", ...name] = part.variant.split("/");
  const way = waysOf(transport as Transport)[name.join("/")] as Way;
  if (way.over === "headrace") await playTransfer(part, way);
  else say(JSON.stringify(await (part.role === "send" ? sendBare : receiveBare)(part, way)));
  // What was said last is still on its way out of some runtimes.
  await new Promise((resolve) => setTimeout(resolve, 100));
  process.exit(0);
}
