import { readFileSync } from "node:fs";
import { join } from "node:path";
import { FileCheckpointStore } from "../../lib/checkpoint/file_checkpoint_store.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import { storeContract, type WithBench } from "./store_contract.ts";

const inFiles: WithBench = (nowMs, body) =>
  withTempFolder((folder) =>
    body({
      store: new FileCheckpointStore(folder, { nowMs }),
      finished(output, fileName) {
        try {
          return new Uint8Array(readFileSync(join(folder, output, fileName)));
        } catch {
          return undefined;
        }
      },
    }),
  );

export const fileCheckpointStoreSuite: Suite = storeContract("file checkpoint store", inFiles);
