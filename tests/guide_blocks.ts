import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { blocksOf } from "../scripts/doc_blocks.ts";
import { readText, root } from "../scripts/workspace.ts";

/** In the repository, where "headrace" means the package itself. */
const FOLDER = ".cache/guides";

/**
 * Writes the one block of a guide that holds this text as a module of its own.
 *
 * @param change What the reader has to put in for himself.
 * @returns The module's path in the repository.
 */
export function guideModule(
  guide: string,
  part: string,
  change: (code: string) => string = (code) => code,
): string {
  const found = blocksOf(readText(`docs/${guide}.md`)).filter(({ code }) => code.includes(part));
  assert.lengthOf(found, 1, `blocks of docs/${guide}.md with ${part}`);
  mkdirSync(join(root, FOLDER), { recursive: true });
  const path = `${FOLDER}/${guide}_${part.replace(/\W+/g, "_")}.ts`;
  writeFileSync(join(root, path), change(found[0]?.code ?? ""));
  return path;
}
