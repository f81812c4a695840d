import { type Clock, sleep } from "../clock.ts";
import { OpfsPagedFile, pagesBlob } from "./opfs_paged_file.ts";
import { OpfsSyncFile, type SyncAccessHandle } from "./opfs_sync_file.ts";
import type { OpenFile } from "./staged_file.ts";

type Folder = FileSystemDirectoryHandle;

/** How files are kept while they are put together: dedicated workers have a better way than pages. */
export interface OpfsWay {
  /** The folder of an output in which this way keeps its files; one way cannot read the other's. */
  readonly folderName: string;
  /** @param isNew Whether it must not be there yet; otherwise it must be. */
  open(folder: Folder, name: string, isNew: boolean): Promise<OpenFile>;
  byteLength(folder: Folder, name: string): Promise<number>;
  /** All of a file that has no holes; nothing is read yet. */
  blob(folder: Folder, name: string): Promise<Blob>;
  /** Gives a file that nobody has open its final place. */
  finish(folder: Folder, name: string, target: Folder, finalName: string): Promise<void>;
}

/** What browsers' file handles have beside what TypeScript knows of them on pages. */
interface FileHandle extends FileSystemFileHandle {
  createSyncAccessHandle(): Promise<SyncAccessHandle>;
  move?(target: Folder, name: string): Promise<void>;
}

const POLL_MS = 20;

const fileHandle = async (folder: Folder, name: string, create = false): Promise<FileHandle> =>
  (await folder.getFileHandle(name, { create })) as FileHandle;

/** Whether this runtime gives out synchronous access: only dedicated workers do. */
export function hasSyncAccess(): boolean {
  const { FileSystemFileHandle: handle } = globalThis as {
    FileSystemFileHandle?: { prototype: object };
  };
  return handle !== undefined && "createSyncAccessHandle" in handle.prototype;
}

/**
 * In a dedicated worker.
 *
 * @param waitMs How long to wait for a file that a page which is just ending still has open.
 */
export const syncWay = (waitMs: number, clock: Clock): OpfsWay => ({
  folderName: ".headrace",
  async open(folder, name, isNew) {
    const handle = await fileHandle(folder, name, isNew);
    const startMs = clock.now();
    for (;;) {
      try {
        return new OpfsSyncFile(await handle.createSyncAccessHandle());
      } catch (cause) {
        const isHeld = (cause as DOMException).name === "NoModificationAllowedError";
        if (!isHeld || clock.now() - startMs >= waitMs) throw cause;
        await sleep(clock, POLL_MS);
      }
    }
  },
  byteLength: async (folder, name) => (await (await fileHandle(folder, name)).getFile()).size,
  blob: async (folder, name) => (await fileHandle(folder, name)).getFile(),
  async finish(folder, name, target, finalName) {
    const handle = await fileHandle(folder, name);
    if (handle.move) return handle.move(target, finalName);
    await copyTo(await handle.getFile(), target, finalName);
    await folder.removeEntry(name);
  },
});

/** Anywhere else. */
export const pagedWay: OpfsWay = {
  folderName: ".headrace-pages",
  async open(folder, name, isNew) {
    return new OpfsPagedFile(await folder.getDirectoryHandle(name, { create: isNew }));
  },
  async byteLength(folder, name) {
    return new OpfsPagedFile(await folder.getDirectoryHandle(name)).byteLength();
  },
  blob: async (folder, name) => pagesBlob(await folder.getDirectoryHandle(name)),
  async finish(folder, name, target, finalName) {
    await copyTo(await this.blob(folder, name), target, finalName);
    await folder.removeEntry(name, { recursive: true });
  },
};

/** What is written appears when it is whole. */
async function copyTo(blob: Blob, target: Folder, name: string): Promise<void> {
  const handle = await fileHandle(target, name, true);
  await blob.stream().pipeTo(await handle.createWritable());
}
