// File systems of a known size or kind, for what a disk can do to a program.
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";

/** Runs the body with a file system of its own, or says loudly why not. */
export async function withMount(
  folder: string,
  options: string,
  body: (mount: string, remount: (options: string) => void) => Promise<void>,
): Promise<void> {
  const mount = join(folder, "mount");
  mkdirSync(mount);
  const made = spawnSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", mount]);
  if (made.status !== 0) {
    console.warn(
      `SKIPPED here: a small file system cannot be mounted (${made.stderr ?? "no mount"})`,
    );
    return;
  }
  try {
    await body(mount, (changed) => {
      const { status } = spawnSync("mount", ["-o", `remount,${changed}`, mount]);
      assert.equal(status, 0);
    });
  } finally {
    spawnSync("umount", ["-l", mount]);
  }
}
