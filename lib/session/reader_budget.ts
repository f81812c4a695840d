// This module runs in every runtime.

/** One transfer that goes to a reader, and what it may have under way; kept by the budget. */
export class ReaderLine {
  /** Called when the line may get more than it got. */
  readonly onRoom: () => void;
  /** Whether a chunk for a reader that waits is taken whole as soon as it is there. */
  readonly takesAtOnce: boolean;
  /** What may come and stay: all that it has under way but for what is taken at once. */
  firmBytes = 0;
  /** What it has to have under way to get on. */
  nextBytes = 0;
  /** Whether its reader waits for that. */
  isStarved = false;

  constructor(onRoom: () => void, takesAtOnce: boolean) {
    this.onRoom = onRoom;
    this.takesAtOnce = takesAtOnce;
  }
}

/** What a line has, and what it is after. */
export interface ReaderNeed {
  /** Bytes that its sender may send, or has sent, and that the reader has not taken. */
  readonly outstandingBytes: number;
  /** How many it would like them to be. */
  readonly wantedBytes: number;
  /** How many they must be for the next chunk to come. */
  readonly nextBytes: number;
  /** Whether the reader waits for bytes. */
  readonly isWaiting: boolean;
}

/** What all readers together may have under way, of the connection's window. */
const READERS_SHARE = 3 / 8;
/** What those who wait may have beyond it; at least the longest chunk, which is a quarter at most. */
const HELP_SHARE = 1 / 4;

/**
 * What the transfers that go to readers may have under way together. A reader may stop for as long
 * as it likes, with all that was granted to it in memory; so they share less than half of the
 * connection's window, each at most half of what the others leave: one that stops with a large
 * window leaves as much to the next. What is left out is enough for the longest chunk of anybody
 * else, also while an eighth of the window, given back, is not told yet.
 *
 * A reader that waits always gets its next leaf, whatever the others have: it takes it at once.
 * Only where what comes cannot be taken at once, because chunks have several leaves or nobody knows
 * when it is taken, such help has its bound as well. Arithmetic only.
 */
export class ReaderBudget {
  readonly #windowBytes: () => number;
  /** Those who would like more than they got, who got something last at the end. */
  readonly #waiting = new Set<ReaderLine>();
  #firmBytes = 0;
  #lastWindowBytes = 0;

  /** @param windowBytes The connection's window now. */
  constructor(windowBytes: () => number) {
    this.#windowBytes = windowBytes;
  }

  /**
   * Sets how much a line has under way.
   *
   * @returns what it may have, never less than it has.
   */
  adjust(line: ReaderLine, need: ReaderNeed): number {
    const { outstandingBytes, wantedBytes, nextBytes, isWaiting } = need;
    const windowBytes = this.#windowBytes();
    const beforeBytes = line.firmBytes;
    const othersBytes = this.#firmBytes - beforeBytes;
    const sureBytes = isWaiting && line.takesAtOnce ? nextBytes : 0;
    const shareBytes = shareOf(READERS_SHARE * windowBytes - othersBytes, nextBytes);
    let firmBytes = Math.max(
      0,
      outstandingBytes - sureBytes,
      Math.min(wantedBytes - sureBytes, shareBytes),
    );
    const mostBytes = (READERS_SHARE + HELP_SHARE) * windowBytes;
    const isHelped = isWaiting && sureBytes === 0 && othersBytes + nextBytes <= mostBytes;
    if (isHelped) firmBytes = Math.max(firmBytes, nextBytes);
    const bytes = firmBytes + sureBytes;
    line.firmBytes = firmBytes;
    this.#firmBytes += firmBytes - beforeBytes;
    line.nextBytes = nextBytes;
    line.isStarved = isWaiting && bytes < nextBytes;
    if (bytes > outstandingBytes || bytes >= wantedBytes) this.#waiting.delete(line);
    if (bytes < wantedBytes) this.#waiting.add(line);
    const isMore = firmBytes < beforeBytes || windowBytes > this.#lastWindowBytes;
    this.#lastWindowBytes = windowBytes;
    if (isMore) this.#wake(line);
    return bytes;
  }

  /** The line is over. */
  leave(line: ReaderLine): void {
    this.#firmBytes -= line.firmBytes;
    line.firmBytes = 0;
    this.#waiting.delete(line);
    this.#wake(line);
  }

  #wake(but: ReaderLine): void {
    for (const line of [...this.#waiting]) {
      const share = line.isStarved ? READERS_SHARE + HELP_SHARE : READERS_SHARE;
      const roomBytes = share * this.#windowBytes() - (this.#firmBytes - line.firmBytes);
      if (line !== but && roomBytes >= line.nextBytes) line.onRoom();
    }
  }
}

/** Half of the room in whole steps, or one step where there is room for that. */
function shareOf(roomBytes: number, stepBytes: number): number {
  if (stepBytes === 0 || roomBytes < stepBytes) return 0;
  return Math.max(1, Math.floor(roomBytes / 2 / stepBytes)) * stepBytes;
}
