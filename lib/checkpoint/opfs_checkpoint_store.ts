import type { CheckpointLimits } from "../checkpoint_limits.ts";
import { type Clock, systemClock } from "../clock.ts";
import { StorageError } from "../errors.ts";
import type { Sha256 } from "../platform/sha256.ts";
import type {
  Checkpoint,
  CheckpointOptions,
  CheckpointStore,
  SweptCheckpoint,
} from "./checkpoint_store.ts";
import { safeFileName } from "./file_name.ts";
import { checkKey } from "./journal_header.ts";
import { ifUnlocked, takeLock } from "./opfs_lock.ts";
import { finishedFile, OpfsPlace } from "./opfs_place.ts";
import { hasSyncAccess, type OpfsWay, pagedWay, syncWay } from "./opfs_way.ts";
import { loadStaged, StagedCheckpoint } from "./staged_checkpoint.ts";
import { storageError } from "./storage_error.ts";
import { type Abandoned, planSweep } from "./sweep_plan.ts";

/** How an {@linkcode OpfsCheckpointStore} is made. */
export interface OpfsCheckpointStoreOptions {
  /** The folder of the site's that holds all outputs. Default: `"headrace"`. */
  readonly folder?: string;
  /**
   * How long, in milliseconds, to wait for a page that has the output open: one that was just
   * closed or loaded anew still has it for a moment. Default: 5000.
   */
  readonly waitMs?: number;
  /** The time in milliseconds since 1970. Default: `Date.now`. */
  readonly nowMs?: () => number;
  /** Default: the runtime's fastest. */
  readonly sha256?: Sha256;
  /** Default: the runtime's own. */
  readonly clock?: Clock;
}

interface AbandonedOutput extends Abandoned {
  /** The names of its folder and of the one in that. */
  readonly output: string;
  readonly folderName: string;
}

type Folder = FileSystemDirectoryHandle;

const FOLDER_NAMES = [".headrace", ".headrace-pages"] as const;

/**
 * Keeps outputs in the files that a browser gives a site to itself (the origin private file
 * system): what was verified outlives its page, closed, loaded anew or crashed.
 *
 * In a dedicated worker files are written in place. On a page itself, and in other workers, each
 * write copies up to 1 MiB and a finished file is copied once more, so use it in a worker if you
 * can. What one of them has begun the other does not go on with.
 *
 * @example
 * ```ts
 * import { OpfsCheckpointStore } from "headrace/checkpoint/opfs";
 *
 * if (OpfsCheckpointStore.isSupported()) {
 *   const store = new OpfsCheckpointStore();
 *   const checkpoint = await store.open("gpt2", { kind: "folder", key: "gpt2/*" });
 *   await checkpoint.release();
 *   console.log(await store.file("gpt2", "model.safetensors")); // undefined, or a File
 * }
 * ```
 */
export class OpfsCheckpointStore implements CheckpointStore {
  readonly #options: Required<Pick<OpfsCheckpointStoreOptions, "folder" | "nowMs" | "clock">> & {
    readonly waitMs: number;
    readonly sha256: Sha256 | undefined;
  };
  readonly #way: OpfsWay;

  constructor(options: OpfsCheckpointStoreOptions = {}) {
    const {
      folder = "headrace",
      waitMs = 5000,
      nowMs = Date.now,
      clock = systemClock,
      sha256,
    } = options;
    this.#options = { folder, waitMs, nowMs, clock, sha256 };
    this.#way = hasSyncAccess() ? syncWay(waitMs, clock) : pagedWay;
  }

  /** Whether there is such a file system here; pages without a secure context have none. */
  static isSupported(): boolean {
    const { navigator } = globalThis as { navigator?: Partial<Navigator> };
    return navigator?.storage?.getDirectory !== undefined && navigator.locks !== undefined;
  }

  async open(output: string, options: CheckpointOptions): Promise<Checkpoint> {
    const { kind, key, keepsOther = false, durable = false } = options;
    const { waitMs, clock, sha256 } = this.#options;
    checkKey(key);
    const root = await this.#root();
    const name = safeFileName(output);
    const unlock = await takeLock(this.#lockName(name), output, waitMs, clock);
    let place: OpfsPlace;
    try {
      const folder = await root.getDirectoryHandle(name, { create: true });
      const { folderName } = this.#way;
      const staging = await folder.getDirectoryHandle(folderName, { create: true });
      const onUnlock = async () => {
        await removeIfEmpty(folder, folderName);
        await removeIfEmpty(root, name);
        unlock();
      };
      const way = this.#way;
      place = new OpfsPlace({ way, kind, target: output, folder, staging, durable, onUnlock });
    } catch (cause) {
      unlock();
      throw storageError(cause, "open", output);
    }
    const chosen = { key, keepsOther, durable, ...(sha256 && { sha256 }) };
    return new StagedCheckpoint(await loadStaged(place, chosen));
  }

  /** A finished file of an output; `undefined` while it is not. */
  async file(output: string, fileName: string): Promise<File | undefined> {
    const root = await this.#root();
    try {
      return await finishedFile(await root.getDirectoryHandle(safeFileName(output)), fileName);
    } catch (cause) {
      if ((cause as DOMException).name === "NotFoundError") return undefined;
      throw storageError(cause, "look at", output);
    }
  }

  /**
   * Forgets an output, what is finished of it too.
   *
   * @throws {StorageError} while somebody has it open.
   */
  async delete(output: string): Promise<void> {
    const root = await this.#root();
    const name = safeFileName(output);
    const isDone = await ifUnlocked(this.#lockName(name), async () => {
      await root.removeEntry(name, { recursive: true }).catch((cause) => {
        if ((cause as DOMException).name !== "NotFoundError")
          throw storageError(cause, "delete", output);
      });
      return true;
    });
    if (!isDone) throw new StorageError(`Cannot delete ${output}: somebody is writing to it`);
  }

  async sweep(limits: Partial<CheckpointLimits> = {}): Promise<SweptCheckpoint[]> {
    const root = await this.#root();
    const abandoned: AbandonedOutput[] = [];
    for await (const output of root.keys()) {
      await ifUnlocked(this.#lockName(output), async () => {
        for (const folderName of FOLDER_NAMES) {
          const found = await this.#lookAt(root, output, folderName);
          if (found) abandoned.push({ ...found, output, folderName });
        }
      });
    }
    const swept: SweptCheckpoint[] = [];
    for (const { checkpoint, over } of planSweep(abandoned, limits, this.#options.nowMs())) {
      const { output, folderName, bytes, lastUsedMs } = checkpoint;
      const isDone = await ifUnlocked(this.#lockName(output), async () => {
        const now = await this.#lookAt(root, output, folderName);
        if (now?.lastUsedMs !== lastUsedMs) return false;
        const folder = await root.getDirectoryHandle(output);
        await folder.removeEntry(folderName, { recursive: true });
        await removeIfEmpty(root, output);
        return true;
      });
      if (isDone) swept.push({ output, bytes, lastUsedMs, over });
    }
    return swept;
  }

  async #lookAt(root: Folder, output: string, folderName: string): Promise<Abandoned | undefined> {
    try {
      const folder = await root.getDirectoryHandle(output);
      return await contentsOf(await folder.getDirectoryHandle(folderName));
    } catch (cause) {
      if (["NotFoundError", "TypeMismatchError"].includes((cause as DOMException).name)) return;
      throw storageError(cause, "look at", output);
    }
  }

  async #root(): Promise<Folder> {
    const { folder } = this.#options;
    if (!OpfsCheckpointStore.isSupported()) {
      throw new StorageError(
        "Cannot keep files in the browser: only pages of https:// and of localhost may; use a MemoryCheckpointStore",
      );
    }
    try {
      const site = await navigator.storage.getDirectory();
      return await site.getDirectoryHandle(folder, { create: true });
    } catch (cause) {
      throw storageError(cause, "open the folder", folder);
    }
  }

  #lockName(name: string): string {
    return `headrace ${this.#options.folder}/${name}`;
  }
}

async function removeIfEmpty(folder: Folder, name: string): Promise<void> {
  try {
    await folder.removeEntry(name);
  } catch {
    // something is in it, or it has gone
  }
}

/** What a folder takes, and when it was written to last. */
async function contentsOf(folder: Folder): Promise<Abandoned> {
  let bytes = 0;
  let lastUsedMs = 0;
  for await (const entry of folder.values()) {
    const found =
      entry.kind === "directory"
        ? await contentsOf(entry as Folder)
        : await (entry as FileSystemFileHandle)
            .getFile()
            .then(({ size, lastModified }) => ({ bytes: size, lastUsedMs: lastModified }));
    bytes += found.bytes;
    lastUsedMs = Math.max(lastUsedMs, found.lastUsedMs);
  }
  return { bytes, lastUsedMs };
}
