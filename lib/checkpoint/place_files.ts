import { Buffer } from "node:buffer";
import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, open, rename } from "node:fs/promises";
import { StorageError } from "../errors.ts";
import { LEAF_BYTES } from "../tensor/leaf.ts";
import { readFully } from "./file_access.ts";
import { errnoOf, storageError } from "./storage_error.ts";

/** A staged file and where it goes. */
export interface Placement {
  readonly staged: string;
  readonly target: string;
  readonly byteLength: number;
}

/** What is at the path, links not followed; `undefined` when nothing is. */
export async function statOrNothing(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT") return undefined;
    throw storageError(cause, "look at", path);
  }
}

/** Whether a regular file of this length is at the path. */
export async function isFileOf(path: string, byteLength: number): Promise<boolean> {
  const stat = await statOrNothing(path);
  return stat?.isFile() === true && stat.size === byteLength;
}

/** Whether two files that are there, of the same known length, hold the same bytes. */
async function haveSameBytes(paths: readonly string[], byteLength: number): Promise<boolean> {
  const handles: FileHandle[] = [];
  try {
    for (const path of paths) handles.push(await open(path, constants.O_RDONLY));
    const buffers = handles.map(() => new Uint8Array(Math.min(LEAF_BYTES, byteLength)));
    for (let at = 0; at < byteLength; at += LEAF_BYTES) {
      const views = buffers.map((buffer) => buffer.subarray(0, byteLength - at));
      for (const [i, handle] of handles.entries()) {
        if (!(await readFully(handle, views[i] as Uint8Array, at))) return false;
      }
      if (Buffer.compare(views[0] as Uint8Array, views[1] as Uint8Array) !== 0) return false;
    }
    return true;
  } catch (cause) {
    throw storageError(cause, "compare", paths.join(" with "));
  } finally {
    for (const handle of handles) await handle.close();
  }
}

/**
 * Makes sure that nothing else is where the file goes; the very same bytes may be.
 *
 * @throws {StorageError} when something else is there.
 */
export async function refuseOther({ staged, target, byteLength }: Placement): Promise<void> {
  const there = await statOrNothing(target);
  if (there === undefined) return;
  const same =
    there.isFile() &&
    there.size === byteLength &&
    (await haveSameBytes([staged, target], byteLength));
  if (same) return;
  throw new StorageError(
    `Cannot write ${target}: something else is there already; move it away or ask for it to be overwritten`,
  );
}

/** Gives the file its final name, at once and whole. */
export async function placeFile({ staged, target }: Placement): Promise<void> {
  try {
    await rename(staged, target);
  } catch (cause) {
    throw storageError(cause, `rename ${staged} to`, target);
  }
}
