// Which test shows that a limit holds, for each of them.
import { assert } from "chai";
import type { Limits } from "../../../lib/limits.ts";
import type { Suite } from "../../harness.ts";

const SHOWN_BY: Readonly<Record<keyof Limits, string>> = {
  maxTensorBytes: "receiving: an offer over the caps is refused before a sink is opened",
  maxChunkBytes: "receiving: an offer over the caps is refused before a sink is opened",
  maxControlBytes:
    "hostile: a payload beyond its type's cap is refused at its header, before a byte of it comes",
  maxPageBytes: "hostile: caps that were lowered hold as well",
  maxNameBytes: "hostile: fields that are missing, of another kind or out of range are refused",
  maxRank:
    "hostile: shapes that cannot be, or say another length, are refused before they are multiplied out",
  maxTokenBytes: "hostile: a HELLO that cannot be is refused before anything is made of it",
  maxLanes:
    "lanes: one that does not show the connection's key, or takes another's place, is not taken",
  maxTransfers:
    "hostile: more transfers than may be open are refused, and those that stand still take no memory",
  maxRequests: "hostile: more entries of lists than may be open end the connection",
  maxSubscriptions: "hostile: more subscriptions than may be are refused for a while",
  transferWindowBytes: "session: a reader that stops holds the sender at its window",
  connectionWindowBytes:
    "hostile: small pieces of many leaves take no more memory than they used credit for",
  maxPrefetchBytes: "prefetch: real requests come first, and memory is bounded",
  maxSilentConnections:
    "hostile: of those who say nothing the oldest give way, and whoever has said HELLO stays",
  helloTimeoutMs:
    "hostile: a HELLO that does not come, or comes byte by byte, is waited for five seconds",
  pingIntervalMs:
    "link: is pinged when it is quiet, and dead when it stays quiet; any frame counts",
  idleTimeoutMs: "link: is pinged when it is quiet, and dead when it stays quiet; any frame counts",
  stallTimeoutMs:
    "hostile: whoever asks for much and reads nothing is sent little, and is cut off after a while",
  returnTimeoutMs: "link: an end that does not come back in time is given up",
  connectTimeoutMs: "dial: what takes longer than connectTimeoutMs is given up",
  maxListEntries: "hostile: a listing that does not end is given up",
  maxSafetensorsHeaderBytes:
    "safetensors header: a length is checked before anything is allocated for it",
  maxCachedDigests: "digest cache: room is bounded by digests; what was used last stays",
};

export const limitTableSuite: Suite = ({ names, test }) => {
  test("hostile: every limit has a test that shows it", () => {
    const missing = Object.entries(SHOWN_BY).filter(([, name]) => !names.has(name));
    assert.deepEqual(missing, []);
  });
};
