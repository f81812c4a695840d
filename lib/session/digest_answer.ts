// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import type { LeafBitmap } from "../tensor/bitmap.ts";
import { LEAF_BYTES } from "../tensor/leaf.ts";
import { encodeChecked, encodeMessage } from "../wire/control.ts";
import { FLAG_LAST, FLAG_QUERY, FRAME } from "../wire/frame_header.ts";
import { encodeDigestPage } from "../wire/pages.ts";
import type { Channel } from "./channel.ts";
import type { LeafDigests } from "./leaf_digests.ts";

/** Digests that go into one page. */
const PAGE_DIGESTS = 1024;
/** How often a sender that reads without sending says so. */
const PHASE_INTERVAL_MS = 1000;

/** Where digests are told. */
export interface DigestAnswerOptions {
  readonly channel: Channel;
  readonly clock: Clock;
  readonly stream: number;
  readonly digests: LeafDigests;
  /** Whether nobody wants to know any more. */
  readonly isOver: () => boolean;
}

/**
 * Digests in order, read from the source where they are not known; says so when that takes long. Of
 * leaves that are asked about, those that the sender cannot vouch for are left out.
 */
export async function* readDigests(
  options: DigestAnswerOptions,
  only?: LeafBitmap,
): AsyncGenerator<{ readonly index: number; readonly digest: Uint8Array }> {
  const { channel, clock, stream, digests, isOver } = options;
  let saidAt = clock.now();
  for (let index = 0; index < digests.leafTotal && !isOver(); index++) {
    if (only && !only.has(index)) continue;
    const digest = await (only ? digests.ofHeld(index) : digests.of(index));
    if (digest) yield { index, digest };
    if (clock.now() - saidAt < PHASE_INTERVAL_MS) continue;
    saidAt = clock.now();
    const phase = { phase: "verifying", bytes: index * LEAF_BYTES };
    channel.link.send(encodeMessage("phase", stream, phase));
  }
}

/** Sends the digests of the leaves that were asked for, a page for each run. */
export async function answerQuery(
  options: DigestAnswerOptions,
  asked: LeafBitmap,
  onLast: () => void,
): Promise<void> {
  const { channel, stream } = options;
  const send = (run: readonly Uint8Array[], firstLeaf: number, flags: number) => {
    const body = encodeDigestPage({ firstLeaf, digests: run });
    return channel.link.write(encodeChecked(FRAME.digests, stream, body, flags | FLAG_QUERY));
  };
  let run: Uint8Array[] = [];
  let first = 0;
  for await (const leaf of readDigests(options, asked)) {
    if (run.length === PAGE_DIGESTS || leaf.index !== first + run.length) {
      if (run.length > 0) await send(run, first, 0);
      run = [];
      first = leaf.index;
    }
    run.push(leaf.digest);
  }
  onLast();
  await send(run, first, FLAG_LAST);
}
