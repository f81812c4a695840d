// How fast does one large tensor move over each transport, held against the bare transport?
//
//   deno run -A --unstable-net bench/transports.ts [--rounds=15] [--bytes=268435456] [--only=websocket,webtransport]
import process from "node:process";
import { makeCertificate } from "../tests/transports/certificate.ts";
import { receiveBare, sendBare } from "./lib/bare_transport.ts";
import { compare, flag } from "./lib/compare.ts";
import { listenerOf, playTransfer, type Way } from "./lib/transfer.ts";
import { leaveCertificate, type Transport } from "./lib/transports.ts";
import { ownPart, runTwo, say } from "./lib/two_processes.ts";

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
  const bytes = Number(flag("bytes", String(256 * MiB)));
  leaveCertificate(makeCertificate());
  for (const transport of flag("only", HERE.join(",")).split(",") as Transport[]) {
    const ways = Object.entries(waysOf(transport));
    const variants = ways.map(([name, way]) => {
      const variant = `${transport}/${name}`;
      const run = (size: number, digest: boolean) =>
        runTwo(import.meta.url, { variant, bytes: size, digest }, listenerOf(way));
      return {
        name,
        run: () => run(bytes, false),
        verify: async () => (await run(16 * MiB + 12345, true)).digest ?? "",
      };
    });
    await compare({
      name: `transports-${transport}`,
      rounds: Number(flag("rounds", "15")),
      variants,
      floor: ways[0]?.[0] ?? "",
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
