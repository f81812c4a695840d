import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Runs `work` with a new folder below the system's one for such, and removes it afterwards; also
 * when the process exits before `work` has ended.
 *
 * @param isKept Leave the folder where it is.
 */
export async function withTempFolder<T>(
  prefix: string,
  isKept: boolean,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), prefix));
  if (isKept) return await work(folder);
  const removeAtExit = () => rmSync(folder, { recursive: true, force: true });
  const exit = () => process.exit(129);
  process.once("exit", removeAtExit);
  // The terminal was closed.
  process.once("SIGHUP", exit);
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
    process.off("exit", removeAtExit);
    process.off("SIGHUP", exit);
  }
}
