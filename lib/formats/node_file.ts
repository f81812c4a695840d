import { createHash } from "node:crypto";
import { type BigIntStats, close, fstat, open, read } from "node:fs";
import { stat } from "node:fs/promises";
import { promisify } from "node:util";
import { sleep, systemClock } from "../clock.ts";
import { shareNextRun } from "../deferred.ts";
import { IntegrityError, StorageError } from "../errors.ts";
import type { SourceVersion } from "../tensor/source.ts";
import type { ByteFile, ByteFiles } from "./byte_file.ts";
import { readingError } from "./reading_error.ts";

const VERSION_BYTES = 16;
const NS_PER_S = 1_000_000_000n;
const NS_PER_MS = 1_000_000n;
/** More than the longest tick of a kernel's file clock, 10 ms. */
const TICK_MS = 20;
const MAX_LOOKS = 3;
/** Some systems read no more than 2^31 - 1 bytes at once. */
const MAX_READ_BYTES = 1024 * 1024 * 1024;

// Plain descriptors: a `FileHandle` that nobody closed ends the whole process when it is collected.
const openFile = (path: string): Promise<number> => promisify(open)(path, "r");
const closeFile = (descriptor: number): Promise<void> => promisify(close)(descriptor);

function statDescriptor(descriptor: number): Promise<BigIntStats> {
  return new Promise((resolve, reject) => {
    fstat(descriptor, { bigint: true }, (error, stats) => (error ? reject(error) : resolve(stats)));
  });
}

function readDescriptor(
  descriptor: number,
  into: Uint8Array,
  at: number,
  length: number,
  position: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    read(descriptor, into, at, length, position, (error, bytesRead) =>
      error ? reject(error) : resolve(bytesRead),
    );
  });
}

async function statFile(path: string): Promise<BigIntStats> {
  let stats: BigIntStats;
  try {
    stats = await stat(path, { bigint: true });
  } catch (cause) {
    throw readingError(cause, "read", path);
  }
  if (!stats.isFile()) throw new StorageError(`Cannot read ${path}: it is not a regular file`);
  return stats;
}

/**
 * A file that changed so recently that a second change could bear the same time is looked at again
 * a moment later, so that whatever comes after shows. Times come in ticks of some milliseconds
 * (Linux), or in whole seconds (Deno, some file systems). Files at rest cost nothing here.
 */
async function settled(look: () => Promise<BigIntStats>): Promise<BigIntStats> {
  let stats = await look();
  for (let attempt = 0; attempt < MAX_LOOKS; attempt++) {
    const stepMs = stats.ctimeNs % NS_PER_S === 0n ? 1000 : 0;
    const ageMs = Date.now() - Number(stats.ctimeNs / NS_PER_MS);
    const remainingMs = stepMs + TICK_MS - ageMs;
    // A time in the future comes from a clock that is not ours: there is nothing to wait for.
    if (ageMs < 0 || remainingMs <= 0) break;
    await sleep(systemClock, remainingMs);
    stats = await look();
  }
  return stats;
}

/**
 * The version hides what goes into it: an inode number is nothing that a peer should learn.
 * It covers the file that is held open and the one that the path now leads to, so that a file which
 * took the other's place by renaming is noticed.
 */
function versionOf(held: BigIntStats, named: BigIntStats | undefined): SourceVersion {
  const hash = createHash("sha256");
  for (const stats of [held, named]) {
    const { dev, ino, size, mtimeNs, ctimeNs } = stats ?? {};
    hash.update(`${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}\n`);
  }
  return new Uint8Array(hash.digest().subarray(0, VERSION_BYTES));
}

/**
 * The version of the file at the path, without opening it: the same that {@linkcode openNodeFile}
 * gives for it, and its size.
 *
 * @throws {StorageError} when it is missing, no regular file, or may not be looked at.
 */
export async function statNodeFile(
  path: string,
): Promise<{ readonly version: SourceVersion; readonly byteLength: number }> {
  const stats = await settled(() => statFile(path));
  return { version: versionOf(stats, stats), byteLength: Number(stats.size) };
}

class NodeFile implements ByteFile {
  readonly byteLength: number;
  readonly #path: string;
  readonly #descriptor: number;
  readonly #uses = new Set<Promise<unknown>>();
  readonly #look = shareNextRun(() => this.#currentVersion());
  #closed: Promise<void> | undefined;

  constructor(path: string, descriptor: number, byteLength: number) {
    this.#path = path;
    this.#descriptor = descriptor;
    this.byteLength = byteLength;
  }

  version(): Promise<SourceVersion> {
    return this.#use(this.#look);
  }

  read(byteOffset: number, into: Uint8Array): Promise<void> {
    return this.#use(() => this.#fill(byteOffset, into));
  }

  /** A descriptor's number is given to other files once it is closed, so that nothing may use it then. */
  async #use<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new TypeError(`${this.#path} is closed`);
    const working = work();
    this.#uses.add(working);
    try {
      return await working;
    } finally {
      this.#uses.delete(working);
    }
  }

  async #currentVersion(): Promise<SourceVersion> {
    const held = await settled(() => statDescriptor(this.#descriptor));
    // A path that leads nowhere is a version of its own: the file was renamed or removed.
    const named = await stat(this.#path, { bigint: true }).catch(() => undefined);
    return versionOf(held, named);
  }

  async #fill(byteOffset: number, into: Uint8Array): Promise<void> {
    let filled = 0;
    while (filled < into.byteLength) {
      const wanted = Math.min(into.byteLength - filled, MAX_READ_BYTES);
      const bytesRead = await this.#readSome(into, filled, wanted, byteOffset + filled);
      if (bytesRead === 0) {
        throw new IntegrityError(
          "source",
          `${this.#path} ends at byte ${byteOffset + filled}, wanted ${into.byteLength} bytes from byte ${byteOffset}: it was cut while it was read`,
          { byteOffset: byteOffset + filled },
        );
      }
      filled += bytesRead;
    }
  }

  async #readSome(into: Uint8Array, at: number, length: number, position: number) {
    try {
      return await readDescriptor(this.#descriptor, into, at, length, position);
    } catch (cause) {
      throw readingError(cause, "read", this.#path);
    }
  }

  close(): Promise<void> {
    this.#closed ??= Promise.allSettled(this.#uses).then(() => closeFile(this.#descriptor));
    return this.#closed;
  }
}

/**
 * Opens a regular file of the local disk for reading, in Node, Deno and Bun.
 *
 * Its version is made from device, inode, size, and modification and change time in nanoseconds.
 *
 * @throws {StorageError} when it is missing, no regular file, or may not be read.
 *
 * @example
 * ```ts
 * import { openNodeFile } from "headrace/safetensors/node";
 *
 * const file = await openNodeFile("package.json");
 * const start = new Uint8Array(1);
 * await file.read(0, start);
 * await file.close();
 * ```
 */
export async function openNodeFile(path: string): Promise<ByteFile> {
  // Opening a named pipe would wait for its writer, so the path is looked at first.
  await statFile(path);
  let descriptor: number;
  try {
    descriptor = await openFile(path);
  } catch (cause) {
    throw readingError(cause, "open", path);
  }
  try {
    const { size } = await statDescriptor(descriptor);
    return new NodeFile(path, descriptor, Number(size));
  } catch (cause) {
    await closeFile(descriptor);
    throw readingError(cause, "read", path);
  }
}

/** The local disk. */
export const nodeFiles: ByteFiles = { open: openNodeFile, stat: statNodeFile };
