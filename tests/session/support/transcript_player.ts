import { assert } from "chai";
import { TransportError } from "../../../lib/errors.ts";
import {
  FRAME_HEADER_BYTES,
  type FrameHeader,
  frameName,
  isControlType,
  readFrameHeader,
} from "../../../lib/wire/frame_header.ts";
import { PREAMBLE_BYTES } from "../../../lib/wire/preamble.ts";
import { toHex } from "../../hex.ts";
import { sameBytes } from "../../streams/support.ts";
import { decodeFrame, encodeFrame } from "../../wire/frame_values.ts";
import type { End, Transcript } from "../../wire/transcript_vectors.ts";
import type { ScriptedEnd } from "./scripted_end.ts";

/** What a peer of flesh and blood has to do so that a transcript's next frame can come. */
export interface Role {
  readonly end: End;
  /** The other end of the peer's next connection. */
  connect(): Promise<ScriptedEnd> | ScriptedEnd;
  /** Called before a frame of the peer's own is waited for: the `nth` of its kind, from 1 on. */
  before?(kind: string, nth: number): Promise<void> | void;
  /** Called after the other end has said a frame. */
  after?(kind: string, nth: number): Promise<void> | void;
}

type Fields = Record<string, unknown>;

/** A control frame's header and fields; `undefined` for a preamble and for all other frames. */
function controlOf(bytes: Uint8Array): { header: FrameHeader; fields: Fields } | undefined {
  if (bytes.byteLength === PREAMBLE_BYTES) return undefined;
  const header = readFrameHeader(bytes);
  if (!isControlType(header.type)) return undefined;
  return { header, fields: decodeFrame(header, bytes.subarray(FRAME_HEADER_BYTES)) as Fields };
}

const kindOf = (bytes: Uint8Array): string =>
  bytes.byteLength === PREAMBLE_BYTES ? "preamble" : frameName(bytes[0] as number);

/** Plays the other end of a peer by a transcript, and holds the peer to its own end of it. */
export class TranscriptPlayer {
  readonly #role: Role;
  readonly #counts = new Map<string, number>();
  /** The transfer's id in the transcript, and the one that the peer has chosen instead. */
  readonly #scriptedId: Uint8Array;
  #id: Uint8Array;

  constructor(role: Role, scriptedId: Uint8Array) {
    this.#role = role;
    this.#scriptedId = scriptedId;
    this.#id = scriptedId;
  }

  /** Plays all connections; fails at the first frame that is another. */
  async play(connections: Transcript): Promise<void> {
    for (const steps of connections) {
      const scripted = await this.#role.connect();
      for (const { from, bytes } of steps) {
        const kind = kindOf(bytes);
        const nth = (this.#counts.get(kind) ?? 0) + 1;
        if (from === this.#role.end) {
          await this.#role.before?.(kind, nth);
          this.#compare(bytes, await scripted.next(), `${kind} ${nth}`);
        } else {
          await scripted.say(this.#adapted(bytes));
          await this.#role.after?.(kind, nth);
        }
        this.#counts.set(kind, nth);
      }
      const last = steps.at(-1);
      const isOver = last !== undefined && kindOf(last.bytes) === "goodbye";
      // What is cut off in the midst of sending has more to say; nobody else has.
      if (!isOver) scripted.cut(new TransportError("The wire was cut"));
      await scripted.ended;
      if (isOver || this.#role.end === "dialler") assert.isEmpty(scripted.left.map(kindOf));
    }
  }

  /** What a peer chooses at random is taken over, and what it says to people is not compared. */
  #compare(expected: Uint8Array, found: Uint8Array, what: string): void {
    const wanted = controlOf(expected);
    if (!wanted) {
      if (!sameBytes(found, expected)) assert.equal(toHex(found), toHex(expected), what);
      return;
    }
    assert.equal(kindOf(found), kindOf(expected), what);
    const heard = controlOf(found);
    assert.equal(heard?.header.stream, wanted.header.stream, what);
    const { instance, id, message, ...rest } = heard?.fields ?? {};
    if (id instanceof Uint8Array && this.#isScripted(wanted.fields.id)) this.#id = id;
    assert.sameMembers(Object.keys(heard?.fields ?? {}), Object.keys(wanted.fields), what);
    assert.deepInclude(wanted.fields, rest, what);
  }

  #adapted(bytes: Uint8Array): Uint8Array {
    const control = controlOf(bytes);
    if (!control || !this.#isScripted(control.fields.id)) return bytes;
    return encodeFrame(control.header, { ...control.fields, id: this.#id });
  }

  #isScripted(id: unknown): boolean {
    return id instanceof Uint8Array && toHex(id) === toHex(this.#scriptedId);
  }
}
