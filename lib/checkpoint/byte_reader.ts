// This module runs in every runtime.
import { readU64, viewOf } from "../wire/u64.ts";

const SHA256_BYTES = 32;
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads a body from the left; anything that is not there or not right is an `Error`. */
export class ByteReader {
  #bytes: Uint8Array;
  #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  get left(): number {
    return this.#bytes.byteLength - this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#at++);
  }

  u16(): number {
    this.#at += 2;
    return this.#view.getUint16(this.#at - 2, true);
  }

  u32(): number {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }

  u64(): number {
    this.#at += 8;
    const value = readU64(this.#view, this.#at - 8);
    if (Number.isNaN(value)) throw new RangeError("past 2^53 - 1");
    return value;
  }

  raw(byteLength: number): Uint8Array {
    if (byteLength > this.left) throw new RangeError("past the end");
    this.#at += byteLength;
    return this.#bytes.slice(this.#at - byteLength, this.#at);
  }

  text(): string {
    return strictUtf8.decode(this.raw(this.u16()));
  }

  digest(): Uint8Array {
    const digest = this.raw(this.left);
    if (digest.byteLength !== 0 && digest.byteLength !== SHA256_BYTES) throw new RangeError();
    return digest;
  }
}
