import { StorageError } from "../errors.ts";

/** What somebody can do about it, by the system's own code. */
const ADVICE: Readonly<Record<string, string>> = {
  ENOENT: "no such file or folder; check the path",
  ENOTDIR: "a part of the path is not a folder; check the path",
  EISDIR: "it is a folder; name a file",
  EACCES: "no permission; allow this user to read it, or run as one who may",
  EPERM: "no permission; allow this user to read it, or run as one who may",
  EMFILE: "this process has too many files open; raise its limit (ulimit -n)",
  ENFILE: "the system has too many files open; close some",
  ELOOP: "its symbolic links go in a circle; correct them",
  EIO: "the disk failed to read; check it",
  ESTALE: "the network file system lost it; mount it again",
};

/**
 * Translates what the file system threw at a reader, once, where it was called.
 *
 * @param attempted What was tried, to stand between "Cannot" and the path: `"open"`.
 */
export function readingError(cause: unknown, attempted: string, path: string): StorageError {
  const failed = `Cannot ${attempted} ${path}`;
  // Deno's own class of this name stands for a permission that it was not given on its command line.
  if (cause instanceof Error && cause.name === "NotCapable") {
    return new StorageError(`${failed}: no permission; allow it with --allow-read`, { cause });
  }
  const code = (cause as { code?: unknown } | null | undefined)?.code;
  const advice = typeof code === "string" ? ADVICE[code] : undefined;
  const why = advice ?? (cause instanceof Error ? cause.message : String(cause));
  return new StorageError(`${failed}: ${why}`, { cause });
}
