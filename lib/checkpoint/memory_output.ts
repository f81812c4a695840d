// This module runs in every runtime.
import { Ledger } from "./ledger.ts";
import { MemoryFile } from "./memory_file.ts";
import type { MemoryRoom } from "./memory_room.ts";

/** What a `MemoryCheckpointStore` has of one output, open or not. */
export class MemoryOutput {
  key = "";
  isOpen = false;
  /** In milliseconds since 1970. */
  lastUsedMs = 0;
  readonly #room: MemoryRoom;
  readonly #finished = new Map<string, Uint8Array>();
  readonly #staged = new Map<string, MemoryFile>();
  #ledger = new Ledger();

  constructor(room: MemoryRoom) {
    this.#room = room;
  }

  get stagedBytes(): number {
    return [...this.#staged.values()].reduce((sum, file) => sum + file.heldBytes, 0);
  }

  get isStaged(): boolean {
    return this.#staged.size > 0;
  }

  get isFinished(): boolean {
    return this.#finished.size > 0;
  }

  finished(fileName: string): Uint8Array | undefined {
    return this.#finished.get(fileName);
  }

  /** What is verified, for whoever has it not open. */
  get ledger(): Ledger {
    return this.#ledger;
  }

  /** The staged file, made when it is not there. */
  staged(fileName: string): MemoryFile {
    let file = this.#staged.get(fileName);
    if (file === undefined) {
      file = new MemoryFile((byteLength) => this.#room.take(byteLength));
      this.#staged.set(fileName, file);
    }
    return file;
  }

  /** A ledger that says the same as the last one, of which nothing is current any more. */
  reopenLedger(): Ledger {
    const ledger = new Ledger();
    for (const record of this.#ledger.records()) ledger.apply(record);
    this.#ledger = ledger;
    return ledger;
  }

  /** Takes a file as finished; its memory has been taken from the room. */
  finish(fileName: string, bytes: Uint8Array): void {
    this.#room.give(this.#finished.get(fileName)?.byteLength ?? 0);
    this.#finished.set(fileName, bytes);
  }

  /** Forgets all that is not finished. */
  clear(): void {
    this.#room.give(this.stagedBytes);
    this.#staged.clear();
    this.#ledger = new Ledger();
  }

  /** Forgets everything. */
  clearAll(): void {
    this.clear();
    for (const bytes of this.#finished.values()) this.#room.give(bytes.byteLength);
    this.#finished.clear();
  }
}
