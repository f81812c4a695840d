import { randomUUID } from "node:crypto";
import {
  closeSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { StorageError } from "../errors.ts";
import { hasEnded, type ProcessIdentity, thisProcess } from "./machine.ts";
import { errnoOf, storageError } from "./storage_error.ts";

/** A lock that cannot be read was torn as it was made; for this long its maker may still be at it. */
const UNREADABLE_STALE_MS = 10_000;

/** Takers that died one after the other while they took the same lock over. */
const MAX_TURNS = 8;
const MAX_ATTEMPTS = 32;
const MAX_LOCK_CHARACTERS = 4096;

/** What a lock is held for. */
export type LockTask = "write" | "sweep";

interface Holder extends ProcessIdentity {
  /** Random, so that two locks of one process differ. */
  readonly id: string;
  readonly task: LockTask;
}

/** Somebody has the lock who lives, or may. */
export class LockHeldError extends StorageError {
  override readonly name: string = "LockHeldError";
  /** Whether that is over soon: a sweep is, and so is what is only just being written down. */
  readonly isBrief: boolean;

  constructor(message: string, isBrief: boolean) {
    super(message);
    this.isBrief = isBrief;
  }
}

/** Who holds a lock file: `"unreadable"` for damage, `undefined` when there is no such file. */
function readHolder(path: string): Holder | "unreadable" | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT") return undefined;
    throw storageError(cause, "read the lock", path);
  }
  if (text.length > MAX_LOCK_CHARACTERS) return "unreadable";
  try {
    const { pid, host, boot, start, id, task } = JSON.parse(text) as Record<string, unknown>;
    if (!Number.isSafeInteger(pid) || (pid as number) <= 0) return "unreadable";
    for (const field of [host, boot, start]) if (typeof field !== "string") return "unreadable";
    if (typeof id !== "string" || !/^[0-9a-f-]{36}$/.test(id)) return "unreadable";
    return { pid, host, boot, start, id, task: task === "sweep" ? task : "write" } as Holder;
  } catch {
    return "unreadable";
  }
}

const idOf = (holder: Holder | "unreadable") => (holder === "unreadable" ? holder : holder.id);

/** Makes the lock file unless there is one. */
function create(path: string, holder: Holder): boolean {
  let file: number;
  try {
    file = openSync(path, "wx");
  } catch (cause) {
    if (errnoOf(cause) === "EEXIST") return false;
    throw storageError(cause, "make the lock", path);
  }
  try {
    writeSync(file, JSON.stringify(holder));
  } catch (cause) {
    unlinkSync(path);
    throw storageError(cause, "write the lock", path);
  } finally {
    closeSync(file);
  }
  return true;
}

/** Why the lock may not be taken over: its holder lives, or may; `undefined` when it may. */
function whyHeld(found: Holder | "unreadable", path: string, host: string): string | undefined {
  const folder = dirname(path);
  if (found === "unreadable") {
    const ageMs = Math.abs(Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0));
    if (ageMs > UNREADABLE_STALE_MS) return undefined;
    return `Cannot lock ${folder}: another process is about to; try again in ${UNREADABLE_STALE_MS / 1000} seconds`;
  }
  if (found.host !== host) {
    return `Cannot lock ${folder}: process ${found.pid} on the host ${found.host} holds it; if it has ended there, delete ${path} and try again`;
  }
  if (hasEnded(found)) return undefined;
  if (found.task === "sweep") {
    return `Cannot lock ${folder}: process ${found.pid} is clearing it away; try again`;
  }
  return `Cannot lock ${folder}: process ${found.pid} is writing to it; wait for it or end it, or choose another output`;
}

/** @throws {LockHeldError} when the lock's holder lives, or may. */
function refuseLive(found: Holder | "unreadable", path: string, { host }: Holder): void {
  const why = whyHeld(found, path, host);
  if (why === undefined) return;
  throw new LockHeldError(why, found === "unreadable" || found.task === "sweep");
}

/**
 * Makes the lock file ours. A dead holder's lock is replaced by whoever holds that lock's *turn*, a
 * lock of its own named after the dead one: so of all that saw the same dead lock just one replaces
 * it, and a slow one finds another lock there than the one it judged.
 */
function claim(path: string, self: Holder, turns = 0): void {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    if (create(path, self)) return;
    const found = readHolder(path);
    if (found === undefined) continue;
    refuseLive(found, path, self);
    if (turns === MAX_TURNS) break;
    const turn = join(dirname(path), `.turn-${idOf(found)}`);
    claim(turn, self, turns + 1);
    const now = readHolder(path);
    if (now !== undefined && idOf(now) === idOf(found)) {
      renameSync(turn, path);
      return;
    }
    unlinkSync(turn);
  }
  throw new StorageError(`Cannot lock ${dirname(path)}: too many others try; try again`);
}

/**
 * The exclusive right of one process, and of one user within it, to write to a folder: a file that
 * names its holder. It is taken over when the holder has surely ended: its process is gone or
 * another one has its number, or the machine has started anew since. Hosts are told apart by
 * their name, so containers that share an output need names of their own.
 */
export class OutputLock {
  readonly #path: string;
  readonly #holder: Holder;

  private constructor(path: string, holder: Holder) {
    this.#path = path;
    this.#holder = holder;
  }

  /**
   * Takes the lock, or fails at once.
   *
   * @param path The lock file; its folder is what is locked, and must exist.
   * @throws {LockHeldError} naming the holder when it lives, is on another host, or cannot be read
   *   and is younger than ten seconds.
   * @throws {StorageError} when the folder cannot be written to.
   */
  static take(path: string, task: LockTask = "write"): OutputLock {
    const holder: Holder = { ...thisProcess(), id: randomUUID(), task };
    try {
      claim(path, holder);
    } catch (cause) {
      throw storageError(cause, "lock", dirname(path));
    }
    return new OutputLock(path, holder);
  }

  /** Whether nobody has the lock, as far as can be told without taking it. */
  static isFree(path: string): boolean {
    const found = readHolder(path);
    return found === undefined || whyHeld(found, path, thisProcess().host) === undefined;
  }

  /**
   * Makes sure that the lock is still there: a folder that was deleted and made anew is another's.
   *
   * @throws {StorageError} when it is not.
   */
  check(): void {
    const found = readHolder(this.#path);
    if (found !== undefined && idOf(found) === this.#holder.id) return;
    throw new StorageError(
      `Cannot go on in ${dirname(this.#path)}: the folder was deleted meanwhile; run the same command again`,
    );
  }

  /** Gives the lock back; again, or when its folder has vanished, does nothing. */
  release(): void {
    try {
      const found = readHolder(this.#path);
      if (found !== undefined && idOf(found) === this.#holder.id) unlinkSync(this.#path);
    } catch (cause) {
      if (errnoOf(cause) !== "ENOENT") throw storageError(cause, "remove the lock", this.#path);
    }
  }
}
