// This module runs in every runtime.
import { LimitError, ProtocolError, TransportError } from "../errors.ts";
import { joinBytes } from "../tensor/bytes.ts";

/** The body of an answer, read piece by piece, and never further than was asked for. */
export class HttpBody {
  readonly #what: string;
  readonly #next: () => Promise<Uint8Array | undefined>;
  #rest: Uint8Array = new Uint8Array();
  #readBytes = 0;

  readonly #isFramed: boolean;

  /**
   * @param next The next piece; `undefined` at the end.
   * @param isFramed Whether the body says where it ends, so that its end can be waited for.
   */
  constructor(what: string, next: () => Promise<Uint8Array | undefined>, isFramed: boolean) {
    this.#what = what;
    this.#next = next;
    this.#isFramed = isFramed;
  }

  /** @throws {TransportError} when the body ends before. */
  async fill(into: Uint8Array): Promise<void> {
    for (let at = 0; at < into.byteLength; ) {
      const piece = await this.#some();
      if (!piece) throw this.#cut(into.byteLength - at);
      const part = piece.subarray(0, into.byteLength - at);
      into.set(part, at);
      at += part.byteLength;
      this.#took(piece, part.byteLength);
    }
  }

  /** @throws {TransportError} when the body ends before. */
  async skip(byteLength: number): Promise<void> {
    for (let left = byteLength; left > 0; ) {
      const piece = await this.#some();
      if (!piece) throw this.#cut(left);
      const taken = Math.min(left, piece.byteLength);
      left -= taken;
      this.#took(piece, taken);
    }
  }

  /** What is here of the body, at least one byte; `undefined` at its end. */
  async some(): Promise<Uint8Array | undefined> {
    const piece = await this.#some();
    if (piece) this.#took(piece, piece.byteLength);
    return piece;
  }

  /**
   * All is read that was wanted. Waits for the end where one is near, so that the link can be used again.
   *
   * @throws {ProtocolError} when there is more.
   */
  async end(): Promise<void> {
    const readBytes = this.#readBytes;
    if (this.#rest.byteLength === 0 && !(this.#isFramed && (await this.#some()))) return;
    throw new ProtocolError(
      `${this.#what} goes on after the ${readBytes} bytes that it was to have`,
    );
  }

  /** @throws {LimitError} for a body of more than `maxBytes`. */
  async bytes(maxBytes: number): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    let byteLength = 0;
    for (let piece = await this.some(); piece; piece = await this.some()) {
      byteLength += piece.byteLength;
      if (byteLength > maxBytes) {
        throw new LimitError(`${this.#what} may take ${maxBytes} bytes, and takes more`);
      }
      pieces.push(piece);
    }
    return joinBytes(pieces);
  }

  async #some(): Promise<Uint8Array | undefined> {
    while (this.#rest.byteLength === 0) {
      const piece = await this.#next();
      if (!piece) return undefined;
      this.#rest = piece;
    }
    return this.#rest;
  }

  #took(piece: Uint8Array, byteLength: number): void {
    this.#readBytes += byteLength;
    this.#rest = piece.subarray(byteLength);
  }

  #cut(missingBytes: number): TransportError {
    return new TransportError(
      `${this.#what} ended after ${this.#readBytes} bytes, ${missingBytes} or more before its end`,
      { byteOffset: this.#readBytes },
    );
  }
}
