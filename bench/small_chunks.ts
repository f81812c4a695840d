// What do small chunks cost?
//
//   node bench/small_chunks.ts [--rounds=7] [--bytes=268435456] [--only=4 KiB,64 KiB]
import process from "node:process";
import { compare, flag, type Variant } from "./lib/compare.ts";
import { listenerOf, playTransfer, type Way } from "./lib/transfer.ts";
import { ownPart, runTwo } from "./lib/two_processes.ts";

const KiB = 1024;

function waysOf(chunkBytes: number): Record<string, Way> {
  return {
    "raw socket": { over: "raw", content: "random", chunkBytes },
    "headrace pull": { over: "headrace", content: "random", chunkBytes },
    "headrace pull, 1 MiB chunks": { over: "headrace", content: "random" },
  };
}

const questions: Record<string, Record<string, Way>> = {
  "4 KiB": waysOf(4 * KiB),
  "64 KiB": waysOf(64 * KiB),
};

function variantOf(question: string, name: string, bytes: number, way: Way): Variant {
  const run = (size: number, digest: boolean) => {
    const work = { variant: `${question}/${name}`, bytes: size, digest };
    return runTwo(import.meta.url, work, listenerOf(way));
  };
  return {
    name,
    run: () => run(bytes, false),
    verify: async () => (await run(Math.min(bytes, 4096 * KiB), true)).digest ?? "",
  };
}

async function main(): Promise<void> {
  const only = flag("only", "4 KiB,64 KiB").split(",");
  const rounds = Number(flag("rounds", "7"));
  const bytes = Number(flag("bytes", String(256 * 1024 * KiB)));
  for (const [question, ways] of Object.entries(questions)) {
    if (!only.includes(question)) continue;
    await compare({
      name: `small_chunks-${question.replace(" ", "")}`,
      rounds,
      variants: Object.entries(ways).map(([name, way]) => variantOf(question, name, bytes, way)),
      floor: "raw socket",
      about:
        `${bytes / KiB / KiB} MiB in chunks of ${question} from memory, two processes on loopback, checksum ` +
        `only, dropped at the end. Floor: node:net, awaited writes of ${question}, data events.`,
    });
  }
}

const part = ownPart();
if (part === undefined) await main();
else {
  const [question = "", name = ""] = part.variant.split("/");
  const way = questions[question]?.[name];
  if (way !== undefined) await playTransfer(part, way);
  process.exit(0);
}
