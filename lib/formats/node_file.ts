import { createHash } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { sleep, systemClock } from "../clock.ts";
import { IntegrityError, StorageError } from "../errors.ts";
import type { SourceVersion } from "../tensor/source.ts";
import type { ByteFile } from "./byte_file.ts";
import { storageError } from "./storage_error.ts";

const VERSION_BYTES = 16;
const NS_PER_S = 1_000_000_000n;
const NS_PER_MS = 1_000_000n;
/** More than the longest tick of a kernel's file clock, 10 ms. */
const TICK_MS = 20;
const MAX_LOOKS = 3;
/** Some systems read no more than 2^31 - 1 bytes at once. */
const MAX_READ_BYTES = 1024 * 1024 * 1024;

async function statFile(path: string): Promise<BigIntStats> {
  let stats: BigIntStats;
  try {
    stats = await stat(path, { bigint: true });
  } catch (cause) {
    throw storageError("Cannot read", path, cause);
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
  readonly #handle: FileHandle;
  readonly #reads = new Set<Promise<void>>();
  #closed: Promise<void> | undefined;

  constructor(path: string, handle: FileHandle, byteLength: number) {
    this.#path = path;
    this.#handle = handle;
    this.byteLength = byteLength;
  }

  async version(): Promise<SourceVersion> {
    const held = await settled(() => this.#handle.stat({ bigint: true }));
    // A path that leads nowhere is a version of its own: the file was renamed or removed.
    const named = await stat(this.#path, { bigint: true }).catch(() => undefined);
    return versionOf(held, named);
  }

  async read(byteOffset: number, into: Uint8Array): Promise<void> {
    if (this.#closed) throw new TypeError(`${this.#path} is closed`);
    const reading = this.#fill(byteOffset, into);
    this.#reads.add(reading);
    try {
      await reading;
    } finally {
      this.#reads.delete(reading);
    }
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
      return (await this.#handle.read(into, at, length, position)).bytesRead;
    } catch (cause) {
      throw storageError("Cannot read", this.#path, cause);
    }
  }

  close(): Promise<void> {
    this.#closed ??= Promise.allSettled(this.#reads).then(() => this.#handle.close());
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
  let handle: FileHandle;
  try {
    handle = await open(path, "r");
  } catch (cause) {
    throw storageError("Cannot open", path, cause);
  }
  try {
    const { size } = await handle.stat();
    return new NodeFile(path, handle, size);
  } catch (cause) {
    await handle.close();
    throw storageError("Cannot read", path, cause);
  }
}
