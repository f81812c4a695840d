// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import type { FrameLane } from "../streams/frame_lane.ts";
import { joinBytes } from "../tensor/bytes.ts";
import { FRAME_HEADER_BYTES, MAX_TENSOR_HEAD_BYTES } from "../wire/frame_header.ts";
import type { Claim, Scheduler } from "./scheduler.ts";

/** A frame, or the front of one and its data. */
export interface Piece {
  readonly front: Uint8Array;
  readonly data?: Uint8Array;
  /** Called once the link has the bytes and their memory may be used again. */
  readonly onWritten?: () => void;
}

/** Whatever sends through an outbox: it has entered while it has something ready. */
export interface Flow extends Claim {
  /**
   * The next piece, with at most so many bytes of data; `undefined` when there is none now.
   */
  take(mostBytes: number): Piece | undefined;
  /** The next piece, if it has at most so many bytes of data. */
  takeSmall?(mostBytes: number): Piece | undefined;
  /**
   * Whether its piece begins a stream. Streams begin in the order of their numbers, so that is
   * given when the piece is taken, and nothing else is written in between.
   */
  readonly beginsStream?: boolean;
  /** The lane on which everything of the flow travels, once one was picked; kept by the outbox. */
  lane?: number;
}

/** At most this much of a chunk goes out at once: what is urgent waits for no more. */
const FRAGMENT_BYTES = 64 * 1024;
/** The most of a fragment, where the link drains it in no time. */
const MOST_FRAGMENT_BYTES = 256 * 1024;
/** One takes no more of the time that the transport may be late with: 0.1 ms over TCP. */
const FRAGMENT_SHARE = 1 / 20;
/** Pieces below this are packed together: a write of the link costs more than copying them. */
const PACKED_BELOW_BYTES = 16 * 1024;
const PACK_BYTES = 64 * 1024;

/**
 * The one way out for all data of a connection: picks the next piece by the scheduler, keeps what
 * is under way on each lane within bounds, and packs small pieces into one write. Control frames do
 * not pass through here; they wait behind at most one write.
 */
export class Outbox {
  readonly #clock: Clock;
  readonly #scheduler: Scheduler<Flow>;
  readonly #lanes: LaneWriter[] = [];

  constructor(clock: Clock, scheduler: Scheduler<Flow>) {
    this.#clock = clock;
    this.#scheduler = scheduler;
  }

  /** A lane that may be written to; the first is there from the beginning. */
  addLane(lane: FrameLane, isOver: () => boolean): void {
    const writer = new LaneWriter(lane, this.#clock, this.#scheduler, isOver);
    // Where there are further lanes, data leaves the first one to control frames.
    for (const other of this.#lanes) other.isForAll = other.index > 0;
    this.#lanes.push(writer);
    if (this.#scheduler.size > 0) writer.wake();
  }

  /** The flow has something ready. */
  enter(flow: Flow): void {
    this.#scheduler.enter(flow, this.#clock.now());
    for (const lane of this.#lanes) if (lane.mayTake(flow)) lane.wake();
  }

  /** The flow is over; what it had ready is not sent. */
  leave(flow: Flow): void {
    this.#scheduler.leave(flow);
  }
}

/** Writes what the scheduler picks to one lane. */
class LaneWriter {
  readonly #lane: FrameLane;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler<Flow>;
  readonly #isOver: () => boolean;
  readonly #mayTake = (flow: Flow): boolean => this.mayTake(flow);
  #buffer: Uint8Array | undefined;
  #packedBytes = 0;
  /** Who waits for what is packed to be written. */
  #packedBy: (() => void)[] = [];
  #isRunning = false;
  /** Whether flows that have no lane yet may take this one. */
  isForAll = true;

  constructor(lane: FrameLane, clock: Clock, scheduler: Scheduler<Flow>, isOver: () => boolean) {
    this.#lane = lane;
    this.#clock = clock;
    this.#scheduler = scheduler;
    this.#isOver = isOver;
  }

  /** The lane's number. */
  get index(): number {
    return this.#lane.index;
  }

  /** Whether the flow travels on this lane, or may. */
  mayTake(flow: Flow): boolean {
    return flow.lane === undefined ? this.isForAll : flow.lane === this.#lane.index;
  }

  /** There is something to send. */
  wake(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    // What else becomes ready in this turn takes part in the first choice.
    queueMicrotask(() => void this.#run());
  }

  async #run(): Promise<void> {
    try {
      while (!this.#isOver()) {
        if (!this.#hasRoom()) await this.#writePack();
        if (!this.#hasRoom()) {
          await this.#lane.room.wait();
          continue;
        }
        const flow = this.#scheduler.next(this.#clock.now(), this.#mayTake);
        // Nothing comes between this look and the end: whoever is ready later wakes the lane anew.
        if (!flow && this.#packedBytes === 0) break;
        if (flow) await this.#writeNext(flow);
        else await this.#writePack();
      }
    } catch {
      // The link has failed, and tells everybody by itself.
    } finally {
      this.#isRunning = false;
    }
  }

  #hasRoom(): boolean {
    const { flight } = this.#lane;
    const nowMs = this.#clock.now();
    if (flight.isProbeDue(nowMs)) this.#lane.probe();
    return flight.hasRoom(nowMs);
  }

  async #writeNext(flow: Flow): Promise<void> {
    const nowMs = this.#clock.now();
    if (flow.beginsStream) return this.#writeBeginnings(flow, nowMs);
    const piece = flow.take(this.#fragmentBytes());
    if (!piece) {
      this.#scheduler.leave(flow);
      return;
    }
    flow.lane = this.#lane.index;
    // The first lane's control frames go before all data, whatever its priority.
    if (this.#lane.index > 0) this.#lane.prioritise(flow.priority);
    const { front, data, onWritten } = piece;
    const bytes = front.byteLength + (data?.byteLength ?? 0);
    if (bytes < PACKED_BELOW_BYTES) {
      await this.#pack(flow, piece, nowMs);
      return;
    }
    this.#scheduler.served(flow, bytes, nowMs);
    await this.#writePack();
    if (data) await this.#lane.write(front, data);
    else await this.#lane.write(front);
    onWritten?.();
  }

  /** What begins streams is taken and written in one go, as many as one fragment has bytes. */
  async #writeBeginnings(first: Flow, nowMs: number): Promise<void> {
    let packed: Uint8Array[] = [];
    let bytes = 0;
    const written: (() => void)[] = [];
    const writes: Promise<void>[] = [];
    const flush = () => {
      if (packed.length > 0) writes.push(this.#lane.write(joinBytes(packed)));
      packed = [];
    };
    for (let flow: Flow | undefined = first; flow?.beginsStream && bytes < FRAGMENT_BYTES; ) {
      const piece = flow.take(FRAGMENT_BYTES);
      if (piece) {
        const { front, data, onWritten } = piece;
        const parts = data ? [front, data] : [front];
        const pieceBytes = front.byteLength + (data?.byteLength ?? 0);
        if (pieceBytes < PACKED_BELOW_BYTES) {
          packed.push(...parts);
        } else {
          flush();
          writes.push(this.#lane.write(...parts));
        }
        if (onWritten) written.push(onWritten);
        bytes += pieceBytes;
        this.#scheduler.served(flow, pieceBytes, nowMs);
      }
      this.#scheduler.leave(flow);
      flow = this.#scheduler.next(nowMs, this.#mayTake);
    }
    flush();
    await Promise.all(writes);
    for (const onWritten of written) onWritten();
  }

  /** Small pieces of one flow go together: as many as one fragment has bytes. */
  async #pack(flow: Flow, first: Piece, nowMs: number): Promise<void> {
    let piece: Piece | undefined = first;
    let bytes = 0;
    while (piece) {
      const { front, data, onWritten } = piece;
      const pieceBytes = front.byteLength + (data?.byteLength ?? 0);
      if (this.#packedBytes + pieceBytes > PACK_BYTES) await this.#writePack();
      this.#put(front);
      if (data) this.#put(data);
      if (onWritten) this.#packedBy.push(onWritten);
      bytes += pieceBytes;
      const leftBytes = PACKED_BELOW_BYTES - MAX_TENSOR_HEAD_BYTES - FRAME_HEADER_BYTES;
      piece = bytes < FRAGMENT_BYTES ? flow.takeSmall?.(leftBytes) : undefined;
    }
    this.#scheduler.served(flow, bytes, nowMs);
  }

  #put(bytes: Uint8Array): void {
    this.#buffer ??= new Uint8Array(PACK_BYTES);
    this.#buffer.set(bytes, this.#packedBytes);
    this.#packedBytes += bytes.byteLength;
  }

  async #writePack(): Promise<void> {
    if (this.#packedBytes === 0 || !this.#buffer) return;
    const packed = this.#buffer.subarray(0, this.#packedBytes);
    const packedBy = this.#packedBy;
    this.#packedBytes = 0;
    this.#packedBy = [];
    await this.#lane.write(packed);
    for (const onWritten of packedBy) onWritten();
  }

  #fragmentBytes(): number {
    const { bytesPerMs, slackMs } = this.#lane.flight;
    const drainedBytes = bytesPerMs * slackMs * FRAGMENT_SHARE;
    const wholeBytes = Math.floor(drainedBytes / FRAGMENT_BYTES) * FRAGMENT_BYTES;
    return Math.min(MOST_FRAGMENT_BYTES, Math.max(FRAGMENT_BYTES, wholeBytes));
  }
}
