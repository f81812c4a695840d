// This module runs in every runtime.
import type { DuplicateFault, Fault, FlipFault, SwallowFault, TruncateFault } from "./fault.ts";

/** Faults that are about a number of bytes. */
type SpanFault = FlipFault | DuplicateFault | SwallowFault | TruncateFault;

/** Faults for whoever moves the bytes: what has come before is to be passed on first. */
export type TimedFault = Exclude<Fault, FlipFault | DuplicateFault | SwallowFault>;

/** What becomes of bytes, in order: some are passed on, or something happens. */
export type FaultStep = { readonly pass: Uint8Array } | { readonly fault: TimedFault };

interface Span {
  readonly fault: SpanFault;
  leftBytes: number;
  readonly held: Uint8Array[];
}

/**
 * Walks along the bytes of one way of a connection, however they are sliced, and says what becomes
 * of them. Synchronous, without a clock; holds at most what is to come twice.
 */
export class FaultCursor {
  readonly #faults: readonly Fault[];
  readonly #happened: Fault[] = [];
  #next = 0;
  #takenBytes = 0;
  #span: Span | undefined;

  /** @param faults In any order. */
  constructor(faults: readonly Fault[]) {
    this.#faults = [...faults].sort((one, other) => one.atByte - other.atByte);
  }

  /** Bytes that have come. */
  get takenBytes(): number {
    return this.#takenBytes;
  }

  /** The faults that have begun, in order. */
  get happened(): readonly Fault[] {
    return this.#happened;
  }

  /**
   * Takes the next bytes, which may be none: faults at byte 0 happen before there are any. The steps
   * are views of the given bytes where nothing is wrong with them.
   */
  *take(bytes: Uint8Array): Generator<FaultStep> {
    let rest = bytes;
    for (;;) {
      yield* this.#beginDue();
      if (rest.byteLength === 0) return;
      const next = this.#faults[this.#next];
      const room = this.#span?.leftBytes ?? (next ? next.atByte - this.#takenBytes : Infinity);
      const piece = rest.subarray(0, room);
      rest = rest.subarray(piece.byteLength);
      this.#takenBytes += piece.byteLength;
      if (this.#span) yield* this.#bend(this.#span, piece);
      else yield { pass: piece };
    }
  }

  *#beginDue(): Generator<FaultStep> {
    while (!this.#span) {
      const fault = this.#faults[this.#next];
      if (!fault || fault.atByte > this.#takenBytes) return;
      this.#next++;
      this.#happened.push(fault);
      const leftBytes = spanBytes(fault);
      if (isSpan(fault) && leftBytes > 0) this.#span = { fault, leftBytes, held: [] };
      else if (fault.kind === "truncate" || !isSpan(fault)) yield { fault };
    }
  }

  /** A piece that lies in a span, and what happens at the span's end. */
  *#bend(span: Span, piece: Uint8Array): Generator<FaultStep> {
    const { fault } = span;
    span.leftBytes -= piece.byteLength;
    const isOver = span.leftBytes === 0;
    if (isOver) this.#span = undefined;
    if (fault.kind === "flip") {
      yield { pass: piece.map((byte) => byte ^ fault.bits) };
    } else if (fault.kind === "duplicate") {
      yield { pass: piece };
      span.held.push(new Uint8Array(piece));
      if (isOver) for (const held of span.held) yield { pass: held };
    } else if (fault.kind === "truncate" && isOver) {
      yield { fault };
    }
  }
}

function isSpan(fault: Fault): fault is SpanFault {
  return fault.kind === "flip" || "bytes" in fault;
}

function spanBytes(fault: Fault): number {
  if (fault.kind === "flip") return 1;
  return "bytes" in fault ? fault.bytes : 0;
}
