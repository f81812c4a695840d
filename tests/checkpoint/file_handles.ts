import { constants, readFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { DiskFile } from "../../lib/checkpoint/disk_file.ts";
import { openOwn } from "../../lib/checkpoint/file_access.ts";
import { FileHandles } from "../../lib/checkpoint/file_handles.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";

export const fileHandlesSuite: Suite = ({ test }) => {
  test("file handles: a file is new until it could be made, and lent from then on", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, "f");
      const done: string[] = [];
      let refused = true;
      const handles = new FileHandles([], 1, async (path, isNew) => {
        done.push(isNew ? "new" : "there");
        if (refused) throw new Error("not on the disk");
        const flags = isNew ? constants.O_CREAT | constants.O_EXCL : 0;
        return new DiskFile(await openOwn(path, flags));
      });
      const write = (bytes: Uint8Array, position: number) =>
        handles.use(path, async (file) => {
          done.push("lent");
          await file.write(bytes, position);
        });
      await assertRejects(() => write(Uint8Array.of(1), 0), Error, /not on the disk/);
      assert.deepEqual(done, ["new"]);
      refused = false;
      await write(Uint8Array.of(1), 0);
      await write(Uint8Array.of(2), 1);
      await handles.use(join(folder, "g"), async () => {}); // takes the place of the other
      await write(Uint8Array.of(3), 2);
      assert.deepEqual(done, ["new", "new", "lent", "lent", "new", "there", "lent"]);
      await handles.closeAll();
      assert.deepEqual([...readFileSync(path)], [1, 2, 3]);
    }));
};
