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
  /** Which output is being loaded, for the next visit; `""` for none. */
  note(output: string): Promise<void>;
  /** What was noted last. */
  noted(): Promise<string>;
}

const FOLDER = "headrace-demo";
/** Not in local storage, of which a crash takes the last seconds. */
const NOTE = "headrace-demo.loading";

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
        async note(output) {
          const site = await navigator.storage.getDirectory();
          const file = await site.getFileHandle(NOTE, { create: true });
          const writable = await file.createWritable();
          await writable.write(output);
          await writable.close();
        },
        async noted() {
          const site = await navigator.storage.getDirectory();
          const file = await site.getFileHandle(NOTE, { create: true });
          return (await file.getFile()).text();
        },
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
    note: async () => {},
    noted: async () => "",
  };
}
