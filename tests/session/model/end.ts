import type { Channel } from "../../../lib/session/channel.ts";
import { CreditLine, type CreditLineOptions } from "../../../lib/session/credit_line.ts";
import { ReadAhead } from "../../../lib/session/read_ahead.ts";
import { ReaderBudget } from "../../../lib/session/reader_budget.ts";
import { type Claim, PriorityScheduler } from "../../../lib/session/scheduler.ts";
import type { SessionContext } from "../../../lib/session/session_context.ts";
import { IncomingCredit } from "../../../lib/streams/incoming_credit.ts";
import { OutgoingCredit } from "../../../lib/streams/outgoing_credit.ts";
import { LEAF_BYTES } from "../../../lib/tensor/leaf.ts";
import { decodeChecked, decodeMessage } from "../../../lib/wire/control.ts";
import { FRAME, FRAME_HEADER_BYTES, readFrameHeader } from "../../../lib/wire/frame_header.ts";
import { decodeNumber, decodeRanges } from "../../../lib/wire/pages.ts";
import { acceptShape } from "../../../lib/wire/request_shapes.ts";
import type { Plan } from "./plan.ts";
import type { ModelChunk } from "./sender.ts";

/** What is on its way to an end; `stream` 0 is the connection's own. */
export type ModelFrame = { readonly stream: number; readonly key: string } & (
  | { readonly kind: "limit"; readonly limitBytes: number }
  | { readonly kind: "refetch"; readonly leaves: readonly number[] }
  | { readonly kind: "chunk"; readonly chunk: ModelChunk }
  | { readonly kind: "over" }
);

const CLOCK = { now: () => 0, after: () => () => {} };

/** One end of the connection: what its transfers share, as a `Channel` has it. */
export class End {
  readonly credit: OutgoingCredit = new OutgoingCredit();
  readonly readAhead: ReadAhead;
  readonly incoming: IncomingCredit;
  readonly readers: ReaderBudget;
  /** Frames that this end has sent and the other has not read, the oldest first, for each lane. */
  readonly lanes: readonly ModelFrame[][];
  /** The last credit that came here. */
  raisedBytes = 0;
  /** Bytes of chunks that came here, those sent again left out. */
  heardBytes = 0;
  /** Counts what was set going by itself. */
  moves = 0;
  readonly #plan: Plan;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.lanes = Array.from({ length: plan.lanes ?? 1 }, () => []);
    const windowBytes = plan.connectionLeaves * LEAF_BYTES;
    this.readAhead = new ReadAhead(new PriorityScheduler<Claim>(), this.credit, CLOCK);
    this.credit.onRaise = () => this.readAhead.look();
    this.raise(windowBytes);
    this.incoming = new IncomingCredit(windowBytes);
    this.readers = new ReaderBudget(() => this.incoming.windowBytes);
  }

  /** The credit of a transfer that comes to this end. */
  creditLine(options: Omit<CreditLineOptions, "channel" | "context">): CreditLine {
    const link = { send: (frame: Uint8Array) => this.send(frame), flight: this.#plan };
    const transferWindowBytes = this.#plan.transferLeaves * LEAF_BYTES;
    return new CreditLine({
      ...options,
      // The parts of them that credit needs.
      channel: { link, readers: this.readers } as unknown as Channel,
      context: { limits: { transferWindowBytes }, clock: CLOCK } as unknown as SessionContext,
    });
  }

  /** The other end takes so much in all. */
  raise(limitBytes: number): void {
    this.raisedBytes = Math.max(this.raisedBytes, limitBytes);
    this.credit.raise(limitBytes);
  }

  moved(): void {
    this.moves++;
  }

  /** Sends a frame as the parts under test have written it. */
  send(frame: Uint8Array): void {
    const header = readFrameHeader(frame.subarray(0, FRAME_HEADER_BYTES));
    const payload = frame.subarray(FRAME_HEADER_BYTES);
    const { stream, type } = header;
    if (type === FRAME.accept) {
      this.#sendLimit(stream, decodeMessage(acceptShape, header, payload).limit);
    } else if (type === FRAME.credit) {
      this.#sendLimit(stream, decodeNumber(decodeChecked(header, payload)));
    } else if (type === FRAME.refetch) {
      const leaves: number[] = [];
      for (const { first, count } of decodeRanges(decodeChecked(header, payload), 2 ** 32)) {
        for (let leaf = first; leaf < first + count; leaf++) leaves.push(leaf);
      }
      this.#push({ kind: "refetch", stream, leaves, key: `refetch of ${stream}: ${leaves}` });
    }
  }

  #sendLimit(stream: number, limitBytes: number): void {
    const key = `credit ${limitBytes / LEAF_BYTES} for ${stream}`;
    this.#push({ kind: "limit", stream, limitBytes, key });
  }

  sendChunk(stream: number, chunk: ModelChunk): void {
    const leaf = chunk.byteOffset / LEAF_BYTES;
    const key = `leaf ${leaf} of ${stream}${chunk.isAgain ? " again" : ""}`;
    this.lanes.at(-1)?.push({ kind: "chunk", stream, chunk, key });
  }

  sendOver(stream: number): void {
    this.#push({ kind: "over", stream, key: `end of ${stream}` });
  }

  /** Everything but chunks travels on the first lane. */
  #push(frame: ModelFrame): void {
    this.lanes[0]?.push(frame);
  }

  consumed(bytes: number): void {
    if (bytes === 0) return;
    this.incoming.consumed(bytes);
    this.tellCredit();
  }

  tellCredit(): void {
    const limitBytes = this.incoming.grant();
    if (limitBytes !== undefined) this.#sendLimit(0, limitBytes);
  }
}
