// This module runs in every runtime.
import { StorageError } from "../errors.ts";
import { LEAF_BYTES, leafLength } from "../tensor/leaf.ts";
import type { CheckpointOptions, FinishedFile } from "./checkpoint_store.ts";
import { DURABLE } from "./journal.ts";
import { Ledger, type LedgerTensor } from "./ledger.ts";
import type { StagingPlace } from "./staging_place.ts";

/**
 * Whether what was written in the boot `written` is, in the boot `now`, surely still as it was
 * written. A killed process leaves all of it to the system; a power cut leaves what was synced.
 */
export function isTrusted(written: string, now: string): boolean {
  return written === DURABLE || (written !== "" && written === now);
}

/** How {@linkcode loadLedger} takes what an earlier attempt has left. */
export interface LoadOptions extends Pick<CheckpointOptions, "key" | "keepsOther"> {
  /** Until when leaves written from now on can be believed. */
  readonly boot: string;
}

/**
 * What the journal left by an earlier attempt at the same thing adds up to; what is left of
 * something else is cleared away.
 *
 * @throws {StorageError} when that is to be kept, and holds anything.
 */
export async function loadLedger(
  place: StagingPlace,
  { key, keepsOther = false, boot }: LoadOptions,
): Promise<Ledger> {
  const ledger = new Ledger();
  const decoded = await place.readJournal();
  if (decoded === undefined || decoded.key !== key) {
    if (decoded && keepsOther) {
      const other = new Ledger();
      for (const record of decoded.records) other.apply(record);
      refuseHeld(place.target, decoded.key, other);
    }
    await place.clear();
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

/** @throws {StorageError} when the ledger of something else, in the same output, holds anything. */
export function refuseHeld(target: string, key: string, { heldBytes }: Ledger): void {
  if (heldBytes === 0) return;
  throw new StorageError(
    `Cannot begin something else in ${target}: ${heldBytes} verified bytes of ${key}, unfinished, are there; finish that, choose another output, or overwrite it`,
  );
}

/** Completes a `finish` that was cut short, if all of it is still there and can be believed. */
export async function completeFinish(place: StagingPlace, ledger: Ledger): Promise<boolean> {
  if (ledger.finishing === undefined) return false;
  const { files, overwrite } = ledger.finishing;
  const staged = await place.stagedFiles();
  const pending: FinishedFile[] = [];
  for (const file of files) {
    const { fileName, byteLength } = file;
    const believed =
      place.syncsToFinish ||
      ledger.ofFile(fileName).every((tensor) => isTrusted(tensor.boot, place.boot));
    if (believed && staged.get(place.stagedPath(fileName)) === byteLength) pending.push(file);
    else if (!believed || !(await place.isFinished(file))) {
      ledger.dropFinishing();
      return false;
    }
  }
  if (!overwrite) for (const file of pending) await place.refuseOther(file, false);
  await place.finish(pending);
  await place.clear();
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
export async function dropLost(place: StagingPlace, ledger: Ledger): Promise<string[]> {
  const staged = await place.stagedFiles();
  const wanted = new Set<string>();
  for (const tensor of [...ledger.tensors()]) {
    const path = place.stagedPath(tensor.fileName);
    const byteLength = staged.get(path);
    if (byteLength === undefined || byteLength < writtenEnd(tensor)) ledger.drop(tensor);
    else wanted.add(path);
  }
  for (const path of staged.keys()) if (!wanted.has(path)) await place.deleteStaged(path);
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
