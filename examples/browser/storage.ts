// Where a model is kept: in the browser's files where there are some, else in memory.
import { type CheckpointStore, MemoryCheckpointStore } from "headrace/checkpoint";
import { OpfsCheckpointStore } from "headrace/checkpoint/opfs";

/** A store, and what it has finished. */
export interface Storage {
  readonly store: CheckpointStore;
  /** Whether it outlives the page. */
  readonly isKept: boolean;
  /** A finished file. */
  file(output: string, fileName: string): Promise<Blob | undefined>;
  delete(output: string): Promise<void>;
}

const FOLDER = "headrace-demo";

/** The best there is here. */
export async function openStorage(): Promise<Storage> {
  if (OpfsCheckpointStore.isSupported()) {
    const store = new OpfsCheckpointStore({ folder: FOLDER });
    // Some browsers have the interface and refuse in private windows.
    const isUsable = await store.sweep().then(
      () => true,
      () => false,
    );
    if (isUsable) {
      return {
        store,
        isKept: true,
        file: (output, fileName) => store.file(output, fileName),
        delete: (output) => store.delete(output),
      };
    }
  }
  const store = new MemoryCheckpointStore();
  return {
    store,
    isKept: false,
    async file(output, fileName) {
      const bytes = store.file(output, fileName);
      return bytes && new Blob([bytes as Uint8Array<ArrayBuffer>]);
    },
    delete: async (output) => store.delete(output),
  };
}
