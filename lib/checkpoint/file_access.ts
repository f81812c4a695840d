import { constants, writeSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { errnoOf, storageError } from "./storage_error.ts";

/** Not on Windows, where it reads as no flag at all. */
export const NO_FOLLOW: number = constants.O_NOFOLLOW ?? 0;

/** Below this, handing a write to another thread costs many times what the write itself does. */
const WRITTEN_AT_ONCE_BYTES = 64 * 1024;

/** Opens a file of ours for reading and writing, never through a symbolic link. */
export async function openOwn(path: string, flags: number): Promise<FileHandle> {
  try {
    return await open(path, flags | constants.O_RDWR | NO_FOLLOW, 0o666);
  } catch (cause) {
    throw storageError(cause, "open", path);
  }
}

/** Puts a folder's entries on the disk, where the system can (Windows cannot, and need not). */
export async function syncFolder(path: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, constants.O_RDONLY);
    await handle.sync();
  } catch (cause) {
    if (!["EISDIR", "EPERM", "EACCES", "EINVAL"].includes(errnoOf(cause) ?? "")) {
      throw storageError(cause, "sync", path);
    }
  } finally {
    await handle?.close();
  }
}

/** Writes all of the bytes: a single call may take fewer. */
export async function writeFully(
  handle: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  for (let at = 0; at < bytes.byteLength; ) {
    const left = bytes.byteLength - at;
    if (left < WRITTEN_AT_ONCE_BYTES) at += writeSync(handle.fd, bytes, at, left, position + at);
    else at += (await handle.write(bytes, at, left, position + at)).bytesWritten;
  }
}

/** Fills `into`; false when the file ends before that. */
export async function readFully(
  handle: FileHandle,
  into: Uint8Array,
  position: number,
): Promise<boolean> {
  for (let at = 0; at < into.byteLength; ) {
    const { bytesRead } = await handle.read(into, at, into.byteLength - at, position + at);
    if (bytesRead === 0) return false;
    at += bytesRead;
  }
  return true;
}
