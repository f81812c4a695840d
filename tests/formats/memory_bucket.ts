import type { R2BucketLike, R2ObjectHead, R2ObjectRead } from "../../lib/formats/r2_bucket.ts";

interface StoredObject {
  readonly bytes: Uint8Array;
  readonly etag: string;
}

/** A bucket of R2's shape, which counts what is asked of it; edge.ts has the real one. */
export class MemoryBucket implements R2BucketLike {
  /** Of each `get`: where it began, and how much it asked for. */
  readonly gets: { readonly offset: number; readonly length: number }[] = [];
  /** Bytes that were taken out of bodies. */
  pulledBytes = 0;
  /** Bodies that are neither read to the end nor cancelled. */
  openBodies = 0;
  /** Has every body that is open now fail at its next read, as a runtime does to those that wait. */
  stall: () => void = () => {};
  readonly #objects = new Map<string, StoredObject>();
  readonly #pageKeys: number;
  #stalls = 0;

  constructor(pageKeys = 1000) {
    this.#pageKeys = pageKeys;
    this.stall = () => this.#stalls++;
  }

  put(key: string, bytes: Uint8Array): void {
    this.#objects.set(key, { bytes, etag: crypto.randomUUID() });
  }

  delete(key: string): void {
    this.#objects.delete(key);
  }

  async head(key: string): Promise<R2ObjectHead | null> {
    const object = this.#objects.get(key);
    return object ? { key, size: object.bytes.byteLength, etag: object.etag } : null;
  }

  async get(
    key: string,
    { range, onlyIf }: Parameters<R2BucketLike["get"]>[1],
  ): Promise<R2ObjectRead | null> {
    this.gets.push(range);
    const head = await this.head(key);
    if (!head || head.etag !== onlyIf.etagMatches) return head;
    const { bytes } = this.#objects.get(key) as StoredObject;
    return {
      ...head,
      body: this.#bodyOf(bytes.subarray(range.offset, range.offset + range.length)),
    };
  }

  async list({
    prefix,
    cursor = "",
  }: Parameters<R2BucketLike["list"]>[0]): ReturnType<R2BucketLike["list"]> {
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(prefix)).sort();
    const rest = keys.filter((key) => key > cursor);
    const page = rest.slice(0, this.#pageKeys);
    const heads = await Promise.all(page.map((key) => this.head(key)));
    const last = page.at(-1);
    return {
      objects: heads.filter((head) => head !== null),
      truncated: rest.length > page.length,
      ...(last !== undefined && { cursor: last }),
    };
  }

  #bodyOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
    let at = 0;
    const stalls = this.#stalls;
    this.openBodies++;
    return new ReadableStream({
      type: "bytes",
      pull: (controller) => {
        if (stalls !== this.#stalls) {
          this.openBodies--;
          return controller.error(new Error("cancelled to prevent a deadlock"));
        }
        // An odd length, as networks give.
        const { byobRequest } = controller as ReadableByteStreamController;
        const view = byobRequest?.view as Uint8Array;
        const piece = bytes.subarray(at, at + Math.min(view.byteLength, 65_537));
        new Uint8Array(view.buffer, view.byteOffset, view.byteLength).set(piece);
        at += piece.byteLength;
        this.pulledBytes += piece.byteLength;
        if (piece.byteLength === 0 || at === bytes.byteLength) this.openBodies--;
        if (piece.byteLength === 0) controller.close();
        byobRequest?.respond(piece.byteLength);
      },
      cancel: () => {
        if (at < bytes.byteLength) this.openBodies--;
      },
    });
  }
}
