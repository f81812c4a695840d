import { rm } from "node:fs/promises";
import { LEAF_BYTES, leafLength } from "../tensor/leaf.ts";
import { DURABLE } from "./journal.ts";
import { JournalFile } from "./journal_file.ts";
import { Ledger, type LedgerTensor } from "./ledger.ts";
import { isFileOf, type Placement, placeFile, refuseOther } from "./place_files.ts";
import type { Staging } from "./staging.ts";
import { storageError } from "./storage_error.ts";

/**
 * Whether what was written in the boot `written` is, in the boot `now`, surely still as it was
 * written. A killed process leaves all of it to the system; a power cut leaves what was synced.
 */
export function isTrusted(written: string, now: string): boolean {
  return written === DURABLE || (written !== "" && written === now);
}

/**
 * What the journal left by an earlier attempt at the same thing adds up to; what is left of
 * something else is cleared away.
 *
 * @param boot Until when leaves written from now on can be believed.
 */
export async function loadLedger(staging: Staging, key: string, boot: string): Promise<Ledger> {
  const ledger = new Ledger();
  const decoded = await JournalFile.read(staging.journalPath);
  if (decoded === undefined || decoded.key !== key) {
    await staging.clear();
    return ledger;
  }
  for (const record of decoded.records) {
    if (record.kind !== "begin") ledger.apply(record);
    // What may be missing after damage could have taken these leaves back: read before believing.
    else if (!decoded.clean) ledger.apply({ ...record, boot: "" });
    // From here on what is written need not survive a power cut, and neither need this.
    else if (record.boot === DURABLE) ledger.apply({ ...record, boot });
    else ledger.apply(record);
  }
  return ledger;
}

/** Completes a `finish` that was cut short, if all of it is still there and can be believed. */
export async function completeFinish(
  staging: Staging,
  ledger: Ledger,
  boot: string,
): Promise<boolean> {
  if (ledger.finishing === undefined) return false;
  const { files, overwrite } = ledger.finishing;
  const pending: Placement[] = [];
  for (const { fileName, byteLength } of files) {
    const target = staging.finalPath(fileName);
    const staged = staging.stagedPath(fileName);
    const believed = ledger.ofFile(fileName).every((tensor) => isTrusted(tensor.boot, boot));
    if (believed && (await isFileOf(staged, byteLength))) {
      pending.push({ staged, target, byteLength });
    } else if (!believed || !(await isFileOf(target, byteLength))) {
      ledger.dropFinishing();
      return false;
    }
  }
  if (!overwrite) for (const placement of pending) await refuseOther(placement);
  for (const placement of pending) await placeFile(placement);
  await staging.clear();
  for (const tensor of [...ledger.tensors()]) ledger.drop(tensor);
  ledger.dropFinishing();
  return true;
}

/**
 * Drops tensors whose file is gone or too short for their leaves, and files that belong to no
 * tensor. Done before anything is written: a file made anew would soon be long enough, with holes.
 *
 * @returns The paths of the files that stay.
 */
export async function dropLost(staging: Staging, ledger: Ledger): Promise<string[]> {
  const staged = await staging.stagedFiles();
  const wanted = new Set<string>();
  for (const tensor of [...ledger.tensors()]) {
    const path = staging.stagedPath(tensor.fileName);
    const size = staged.get(path);
    if (size === undefined || size < writtenEnd(tensor)) ledger.drop(tensor);
    else wanted.add(path);
  }
  for (const path of staged.keys()) {
    if (wanted.has(path)) continue;
    try {
      await rm(path);
    } catch (cause) {
      throw storageError(cause, "delete", path);
    }
  }
  return [...wanted];
}

/** Where in the file the last of the tensor's verified leaves ends. */
function writtenEnd(tensor: LedgerTensor): number {
  let end = 0;
  for (const index of tensor.leaves.keys()) {
    const leafEnd = index * LEAF_BYTES + leafLength(index, tensor.byteLength);
    if (leafEnd > end) end = leafEnd;
  }
  return tensor.fileOffset + end;
}
