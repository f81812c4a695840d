// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import type { TransferSnapshot } from "../session/transfer_snapshot.ts";
import type { NodeHead, NodeView } from "./node_status.ts";

/** What an event of `GET /api/events` holds: what is new since the event before it. */
export interface StatusEvent extends NodeHead {
  /** Whether this is everything, and what was told before is void. */
  readonly isFull: boolean;
  /** The transfers that have changed. */
  readonly transfers: readonly TransferSnapshot[];
  /** `ID/DIRECTION` of the transfers that are shown no more. */
  readonly gone: readonly string[];
}

interface Row {
  readonly snapshot: TransferSnapshot;
  readonly text: string;
  /** The round in which it became what it is. */
  readonly round: number;
}

/** How many rows that went are remembered, for those who have not heard it. */
const MAX_GONE = 4096;
/** Several listeners that ask within this time are told the same. */
const SHARED_MS = 200;
const utf8 = new TextEncoder();

/**
 * What has changed, for any number of listeners that each ask when they have room: all that is kept
 * is one state and what went lately, whoever does not listen.
 */
export class StatusFeed {
  readonly #view: NodeView;
  readonly #clock: Clock;
  #round = 0;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #head = "";
  #rows = new Map<string, Row>();
  /** What went, and when, oldest first. */
  #gone: { readonly key: string; readonly round: number }[] = [];
  /** Whoever has heard nothing since this round has to be told everything. */
  #forgottenRound = 0;
  /** This round's answers, by the round that was heard last. */
  readonly #told = new Map<number, Uint8Array>();

  constructor(view: NodeView, clock: Clock) {
    this.#view = view;
    this.#clock = clock;
  }

  /**
   * The latest round, and as a server-sent event what is new in it since the round `heard`; 0 is the
   * beginning. The bytes are shared by all who have heard as much.
   */
  since(heard: number): { readonly round: number; readonly event: Uint8Array } {
    this.#look();
    const event = this.#told.get(heard) ?? this.#tell(heard);
    return { round: this.#round, event };
  }

  #tell(heard: number): Uint8Array {
    const isFull = heard <= this.#forgottenRound;
    const rows: string[] = [];
    for (const { round, text } of this.#rows.values()) if (isFull || round > heard) rows.push(text);
    const gone = isFull ? [] : this.#gone.filter(({ round }) => round > heard);
    const keys = JSON.stringify(gone.map(({ key }) => key));
    const data = `{${this.#head},"isFull":${isFull},"transfers":[${rows.join()}],"gone":${keys}}`;
    const event = utf8.encode(`event: status\nid: ${this.#round}\ndata: ${data}\n\n`);
    this.#told.set(heard, event);
    return event;
  }

  /** Nobody listens any more: nothing has to be known. */
  forget(): void {
    this.#rows.clear();
    this.#gone = [];
    this.#told.clear();
    this.#forgottenRound = this.#round;
    this.#lookedAtMs = Number.NEGATIVE_INFINITY;
  }

  #look(): void {
    const now = this.#clock.now();
    if (now - this.#lookedAtMs < SHARED_MS) return;
    this.#lookedAtMs = now;
    this.#round++;
    this.#told.clear();
    this.#head = JSON.stringify(this.#view.head()).slice(1, -1);
    const rows = new Map<string, Row>();
    for (const snapshot of this.#view.transfers()) {
      const key = keyOf(snapshot);
      // One that is over for a moment may be here twice; the first is the newer.
      if (!rows.has(key)) rows.set(key, this.#row(key, snapshot));
    }
    for (const key of this.#rows.keys()) {
      if (!rows.has(key)) this.#gone.push({ key, round: this.#round });
    }
    this.#rows = rows;
    const excess = this.#gone.splice(0, Math.max(0, this.#gone.length - MAX_GONE));
    this.#forgottenRound = excess.at(-1)?.round ?? this.#forgottenRound;
  }

  #row(key: string, snapshot: TransferSnapshot): Row {
    const before = this.#rows.get(key);
    // Those that are over are the same objects every time.
    if (before?.snapshot === snapshot) return before;
    const text = JSON.stringify(snapshot);
    return before?.text === text ? before : { snapshot, text, round: this.#round };
  }
}

/** What tells a transfer from all others that a node shows. */
export function keyOf({ id, direction }: Pick<TransferSnapshot, "id" | "direction">): string {
  return `${id}/${direction}`;
}
