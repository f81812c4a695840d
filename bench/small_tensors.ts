// How many small named tensors a second?
//
//   node bench/small_tensors.ts [--quick] [--rounds=10] [--tensors=20000] [--ways=NAME,NAME]
import process from "node:process";
import { judge } from "./lib/bar.ts";
import { compare, flag, isQuick } from "./lib/compare.ts";
import { grpcWay } from "./lib/small/grpc_way.ts";
import { listsWay, transfersWay } from "./lib/small/headrace_way.ts";
import { ITEM_BYTES } from "./lib/small/items.ts";
import { socketsWay } from "./lib/small/sockets_way.ts";
import { playSmall, type SmallWay, WARM_UPS } from "./lib/small/way.ts";
import { ownPart, runTwo, say } from "./lib/two_processes.ts";

const AGAINST = "grpc-js";

const ways: Record<string, SmallWay> = {
  [AGAINST]: grpcWay,
  "headrace, request lists": listsWay,
  "headrace, a transfer each": transfersWay,
  "raw socket": socketsWay(false),
  "raw socket + SHA-256": socketsWay(true),
};

async function main(): Promise<void> {
  const rounds = Number(flag("rounds", isQuick() ? "2" : "10"));
  const tensors = Number(flag("tensors", isQuick() ? "4000" : "20000"));
  const chosen = flag("ways", Object.keys(ways).join(",")).split(",");
  const bytes = tensors * ITEM_BYTES;
  const lines = await compare({
    name: "small_tensors",
    rounds,
    variants: Object.keys(ways)
      .filter((name) => name === AGAINST || chosen.some((one) => name.startsWith(one)))
      .map((name) => ({
        name,
        run: () => runTwo(import.meta.url, { variant: name, bytes, digest: false }, "send"),
        async verify() {
          const work = { variant: name, bytes: 1000 * ITEM_BYTES, digest: true };
          return (await runTwo(import.meta.url, work, "send")).digest ?? "";
        },
      })),
    floor: AGAINST,
    about:
      `${tensors} tensors of 4 KiB, after ${WARM_UPS} times as many to warm up, with names of 32 bytes and bytes of their own, from memory to memory, two ` +
      "processes on loopback; each hashed by SHA-256 at the receiver, but for the bare raw socket. In place " +
      "of a floor: a unary call of grpc-js each, 128 at once. Raw socket: a name, a length and the bytes, " +
      "pushed through node:net without waiting, and put together.",
  });
  for (const { name, gigabytesPerSecond, ratio, ratioInterval } of lines) {
    const perSecond = ((gigabytesPerSecond * 1e9) / ITEM_BYTES).toFixed(0);
    const bar = { says: "at least 10 times grpc-js", atLeast: 10 };
    const verdict = `${ratio.toFixed(1)} times grpc-js, at least 10: ${judge(ratioInterval, rounds, bar)}`;
    say(`  ${name}: ${perSecond} a second${name.startsWith("headrace") ? `; ${verdict}` : ""}`);
  }
}

const part = ownPart();
if (part === undefined) await main();
else {
  const way = ways[part.variant];
  if (way !== undefined) await playSmall(part, way);
  process.exit(0);
}
