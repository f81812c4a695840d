// This module runs in every runtime.
import { viewOf, writeU64 } from "../wire/u64.ts";

/** Fills a buffer of known length from the left. */
export class ByteWriter {
  readonly bytes: Uint8Array;
  #view: DataView;
  #at = 0;

  constructor(byteLength: number) {
    this.bytes = new Uint8Array(byteLength);
    this.#view = viewOf(this.bytes);
  }

  u8(value: number): this {
    this.#view.setUint8(this.#at++, value);
    return this;
  }

  u16(value: number): this {
    this.#view.setUint16(this.#at, value, true);
    this.#at += 2;
    return this;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
    return this;
  }

  u64(value: number): this {
    writeU64(this.#view, this.#at, value);
    this.#at += 8;
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.bytes.set(bytes, this.#at);
    this.#at += bytes.byteLength;
    return this;
  }

  text(bytes: Uint8Array): this {
    return this.u16(bytes.byteLength).raw(bytes);
  }
}
