// How fast does one large tensor move from memory to memory, held against a bare socket?
//
//   node bench/throughput.ts [--rounds=15] [--bytes=1073741824] [--only=checksum,digest,random,weights]
import process from "node:process";
import { askQuestion } from "./lib/ask_question.ts";
import { flag } from "./lib/compare.ts";
import { playTransfer, type Way } from "./lib/transfer.ts";
import { ownPart } from "./lib/two_processes.ts";

const MiB = 1024 * 1024;

/** Each question's ways; the first is the floor. */
const questions: Record<string, Record<string, Way>> = {
  checksum: {
    "raw socket": { over: "raw", content: "random" },
    "headrace pull": { over: "headrace", content: "random" },
    "headrace push": { over: "headrace", content: "random", begins: "send" },
  },
  digest: {
    "raw socket + SHA-256": { over: "raw", digest: true, content: "random" },
    "headrace pull": { over: "headrace", digest: true, content: "random" },
    "headrace push": { over: "headrace", digest: true, content: "random", begins: "send" },
  },
  random: {
    "compression off": { over: "headrace", digest: true, content: "random" },
    default: { over: "headrace", digest: true, compress: true, content: "random" },
  },
  weights: {
    "compression off": { over: "headrace", digest: true, content: "weights" },
    default: { over: "headrace", digest: true, compress: true, content: "weights" },
  },
};

const about: Record<string, string> = {
  checksum: "Floor: node:net, awaited 1 MiB writes, data events that drop the bytes.",
  digest: "Floor: the same and incremental SHA-256 of each piece at both ends.",
  random: "Random bytes, checksum and SHA-256. Floor: compression off.",
  weights: "A real model's fp32 weights, checksum and SHA-256. Floor: compression off.",
};

async function main(): Promise<void> {
  const bytes = Number(flag("bytes", String(1024 * MiB)));
  const only = flag("only", Object.keys(questions).join(",")).split(",");
  for (const question of only) {
    await askQuestion(import.meta.url, {
      name: `throughput-${question}`,
      question,
      ways: questions[question] ?? {},
      bytes,
      about:
        `${bytes / MiB} MiB in 1 MiB chunks from memory, two processes on loopback, to a sink ` +
        `that drops what is verified. ${about[question]}`,
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
