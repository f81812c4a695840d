import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { FileHandles } from "../../lib/checkpoint/file_handles.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";

export const fileHandlesSuite: Suite = ({ test }) => {
  test("file handles: tell of a file that was made before anybody has it, and just once", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, "f");
      const done: string[] = [];
      let refused = true;
      const handles = new FileHandles(
        [],
        1,
        () => {},
        async () => {
          assert.isTrue(existsSync(path));
          done.push("made");
          if (refused) throw new Error("not on the disk");
        },
      );
      const write = (bytes: Uint8Array, position: number) =>
        handles.use(path, async (file) => {
          done.push("lent");
          await file.write(bytes, position);
        });
      await assertRejects(() => write(Uint8Array.of(1), 0), Error, /not on the disk/);
      assert.deepEqual(done, ["made"]);
      refused = false;
      await write(Uint8Array.of(1), 0);
      await write(Uint8Array.of(2), 1);
      assert.deepEqual(done, ["made", "made", "lent", "lent"]);
      await handles.closeAll();
      assert.deepEqual([...readFileSync(path)], [1, 2]);
    }));
};
