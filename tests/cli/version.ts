import { assert } from "chai";
import { VERSION } from "../../lib/version.ts";
import { readJson } from "../../scripts/workspace.ts";
import type { Suite } from "../harness.ts";
import { runHeadrace } from "./run_headrace.ts";

export const versionSuite: Suite = ({ test, runtime }) => {
  test("headrace --version: the version that both manifests have, the runtime, the codecs", async () => {
    for (const manifest of ["package.json", "deno.json"]) {
      assert.equal(readJson<{ version: string }>(manifest).version, VERSION, manifest);
    }
    const name = runtime.replace(/\d+$/, "");
    const { code, stdout } = await runHeadrace(["--version"]);
    assert.equal(code, 0);
    const [first, second, third] = stdout.trimEnd().split("\n");
    assert.equal(first, `headrace ${VERSION}`);
    assert.match(second ?? "", new RegExp(`^${name} \\d+\\.\\d+\\.\\d+`));
    assert.match(third ?? "", /^codecs: .*deflate \((the runtime.s own|portable)\)/);
    const json = await runHeadrace(["--version", "--json"]);
    const { event, version, runtime: found, codecs } = JSON.parse(json.stdout);
    assert.deepEqual([event, version, found.name], ["version", VERSION, name]);
    assert.include(
      codecs.map((codec: { name: string }) => codec.name),
      "deflate",
    );
  });
};
