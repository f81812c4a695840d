import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** SHA-256 in hexadecimal of each file of a folder, by its name. */
export type FileDigests = ReadonlyMap<string, string>;

/** Reads every file of a folder (and of no folder below it) from beginning to end. */
export async function fileDigests(folder: string): Promise<FileDigests> {
  const digests = new Map<string, string>();
  for (const name of (await readdir(folder)).sort()) {
    const hash = createHash("sha256");
    for await (const piece of createReadStream(join(folder, name))) hash.update(piece);
    digests.set(name, hash.digest("hex"));
  }
  return digests;
}

/** What sets two folders apart, in words, or `undefined` where nothing does. */
export function differenceOf(wanted: FileDigests, found: FileDigests): string | undefined {
  for (const [name, digest] of wanted) {
    if (!found.has(name)) return `${name} is missing`;
    if (found.get(name) !== digest) return `${name} differs`;
  }
  for (const name of found.keys()) if (!wanted.has(name)) return `${name} is one file too many`;
  return undefined;
}
