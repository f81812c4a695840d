// This module runs in every runtime.
import { StorageError } from "../errors.ts";

const KEPT = "what has arrived is kept";

/** What a failed call of the file system means and what to do about it, by its code. */
const ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: `the disk is full; make room and run the same command again, ${KEPT}`,
  EDQUOT: `the disk quota is used up; make room and run the same command again, ${KEPT}`,
  EFBIG: "the file system does not take files of this size; choose another output",
  EACCES: "permission denied; change the permissions or choose another output",
  EPERM: "the operation is not permitted there; change the permissions or choose another output",
  EROFS: "the file system is read-only; choose another output",
  ENOENT: "it is not there (any more); run the same command again to make it anew",
  ENOTDIR: "a part of the path is a file, not a folder; choose another output",
  EISDIR: "it is a folder; choose another output",
  EEXIST: "something else is in the way; choose another output",
  ENOTEMPTY: "the folder is not empty; choose another output",
  ELOOP: "it is a symbolic link, which is not followed there; delete the link",
  EXDEV: "it lies on another file system; choose another output",
  ENAMETOOLONG: "the name is too long for the file system; choose a shorter output",
  EMFILE: `too many files are open; raise the limit (ulimit -n) and run the same command again, ${KEPT}`,
  ENFILE: `too many files are open on this machine; run the same command again, ${KEPT}`,
  EIO: `the disk reported a fault; check it, then run the same command again, ${KEPT}`,
  ESTALE: `the network file system lost it; run the same command again, ${KEPT}`,
  // What browsers call them.
  QuotaExceededError: `the browser gives this site no more room; make some and start again, ${KEPT}`,
  NoModificationAllowedError: `another page or worker has it open; close that and start again, ${KEPT}`,
  NotFoundError: "it was deleted meanwhile, as when a site's data is cleared; start again",
  SecurityError:
    "the browser lets this page keep no files; leave private browsing or ask for memory",
};

/** The code that the file system gave, such as `ENOSPC`. */
export function errnoOf(cause: unknown): string | undefined {
  const code = (cause as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

/**
 * Translates what a call of the file system threw, once, where it was called.
 *
 * @param attempted What was tried, to stand between "Cannot" and the path: `"write to"`.
 */
export function storageError(cause: unknown, attempted: string, path: string): StorageError {
  if (cause instanceof StorageError) return cause;
  const code = errnoOf(cause);
  const advice = ADVICE[code ?? (cause instanceof DOMException ? cause.name : "")];
  const why = advice ?? (cause instanceof Error ? cause.message : String(cause));
  return new StorageError(`Cannot ${attempted} ${path}: ${why}`, { cause });
}
