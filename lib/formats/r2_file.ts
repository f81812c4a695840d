// This module runs in every runtime.
import { IntegrityError, NotFoundError, StorageError } from "../errors.ts";
import { sha256 } from "../platform/sha256.ts";
import type { SourceVersion } from "../tensor/source.ts";
import type { ByteFile, ByteFiles } from "./byte_file.ts";
import type { R2BucketLike, R2ObjectHead } from "./r2_bucket.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const VERSION_BYTES = 16;
/** A read of a body takes so much at once. */
const READ_BYTES = 256 * KiB;
/** The most that is asked for ahead of who reads on and on; what nobody reads does not come. */
const MOST_AHEAD_BYTES = 64 * MiB;
/** How much more each request asks for than the one before it. */
const GROWTH = 4;
/** A worker may have six requests under way, and not all of them for one file. */
const MOST_IDLE_RUNS = 2;

/** Objects of a bucket as files, by their keys. */
export class R2Files implements ByteFiles {
  readonly #bucket: R2BucketLike;

  constructor(bucket: R2BucketLike) {
    this.#bucket = bucket;
  }

  async open(key: string): Promise<ByteFile> {
    return new R2File(this.#bucket, await this.#head(key));
  }

  async stat(
    key: string,
  ): Promise<{ readonly version: SourceVersion; readonly byteLength: number }> {
    const head = await this.#head(key);
    return { version: await versionOf(head), byteLength: head.size };
  }

  async #head(key: string): Promise<R2ObjectHead> {
    const head = await inBucket("look at", key, () => this.#bucket.head(key));
    if (head) return head;
    throw new NotFoundError(`Cannot read ${key}: there is no such object in the bucket`);
  }
}

/** Reading on from one place, so that many reads take few requests. */
interface Run {
  at: number;
  /** Of the body that is being read. */
  leftBytes: number;
  askedBytes: number;
  body: ReadableStreamBYOBReader | undefined;
  memory: ArrayBuffer;
}

/** One version of an object: what a changed object has instead is never given out. */
class R2File implements ByteFile {
  readonly byteLength: number;
  readonly #bucket: R2BucketLike;
  readonly #head: R2ObjectHead;
  /** Those that nobody uses now, the latest last. */
  readonly #idle: Run[] = [];
  #isClosed = false;

  constructor(bucket: R2BucketLike, head: R2ObjectHead) {
    this.#bucket = bucket;
    this.#head = head;
    this.byteLength = head.size;
  }

  async version(): Promise<SourceVersion> {
    const { key } = this.#head;
    const head = await inBucket("look at", key, () => this.#bucket.head(key));
    // One that is gone is a version of its own.
    return head ? versionOf(head) : new Uint8Array();
  }

  async read(byteOffset: number, into: Uint8Array): Promise<void> {
    if (this.#isClosed) throw new TypeError(`${this.#head.key} is closed`);
    const found = this.#idle.findIndex(({ at }) => at === byteOffset);
    const run = this.#idle.splice(found, found < 0 ? 0 : 1)[0] ?? newRun(byteOffset);
    try {
      await this.#fill(run, into);
    } catch (error) {
      letGo(run);
      throw error;
    }
    if (run.leftBytes === 0) letGo(run);
    if (this.#isClosed) letGo(run);
    else this.#idle.push(run);
    while (this.#idle.length > MOST_IDLE_RUNS) letGo(this.#idle.shift() as Run);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const run of this.#idle.splice(0)) letGo(run);
  }

  async #fill(run: Run, into: Uint8Array): Promise<void> {
    // The runtime may end a body that nobody has read for a while: it is then asked for again.
    let mayBeStale = run.body !== undefined;
    let filled = 0;
    while (filled < into.byteLength) {
      const wantedBytes = into.byteLength - filled;
      if (run.leftBytes === 0) await this.#ask(run, wantedBytes);
      try {
        const piece = await readPiece(run, wantedBytes);
        into.set(piece, filled);
        filled += piece.byteLength;
      } catch (cause) {
        letGo(run);
        if (!mayBeStale) throw readError(this.#head.key, "read", cause);
      }
      mayBeStale = false;
    }
  }

  /** Asks for what is wanted, or for more when it goes on from where a request ended. */
  async #ask(run: Run, wantedBytes: number): Promise<void> {
    const { key, etag, size } = this.#head;
    letGo(run);
    const ahead = Math.min(run.askedBytes * GROWTH, MOST_AHEAD_BYTES);
    const length = Math.min(Math.max(wantedBytes, ahead), size - run.at);
    const range = { offset: run.at, length };
    const object = await inBucket("read", key, () =>
      this.#bucket.get(key, { range, onlyIf: { etagMatches: etag } }),
    );
    if (!object?.body || object.etag !== etag || object.size !== size) {
      await object?.body?.cancel();
      const what = object ? "changed" : "was removed";
      throw new IntegrityError("source", `${key} ${what} while it was read`);
    }
    run.body = object.body.getReader({ mode: "byob" });
    run.leftBytes = length;
    run.askedBytes = length;
  }
}

const newRun = (at: number): Run => ({
  at,
  leftBytes: 0,
  askedBytes: 0,
  body: undefined,
  memory: new ArrayBuffer(READ_BYTES),
});

/** Nothing more is read of its body. */
function letGo(run: Run): void {
  run.body?.cancel().catch(() => {});
  run.body = undefined;
  run.leftBytes = 0;
}

/** A view that is valid until the next read. */
async function readPiece(run: Run, wantedBytes: number): Promise<Uint8Array> {
  const length = Math.min(wantedBytes, run.leftBytes, READ_BYTES);
  // A stream that fails keeps the memory that it was given.
  if (run.memory.byteLength === 0) run.memory = new ArrayBuffer(READ_BYTES);
  const { done, value } = await (run.body as ReadableStreamBYOBReader).read(
    new Uint8Array(run.memory, 0, length),
  );
  if (done) throw new Error(`it ended ${run.leftBytes} bytes early`);
  run.memory = value.buffer;
  run.at += value.byteLength;
  run.leftBytes -= value.byteLength;
  return value;
}

/** The version hides what it is made of; an etag of many parts is longer than a version may be. */
async function versionOf({ etag }: R2ObjectHead): Promise<SourceVersion> {
  const digest = await sha256([new TextEncoder().encode(etag)]);
  return digest.slice(0, VERSION_BYTES);
}

/** Asks the bucket; its failures are of the network or its service, so that trying again may help. */
export async function inBucket<T>(
  attempted: string,
  key: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw readError(key, attempted, cause);
  }
}

function readError(key: string, attempted: string, cause: unknown): StorageError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const message = `Cannot ${attempted} ${key} in the bucket: ${why}`;
  return new StorageError(message, { cause, retryable: true });
}
