import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "chai";
import { SETTING_KEYS } from "../../lib/config/setting_keys.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import { runHeadrace } from "./run_headrace.ts";

/** Every line of stdout, which is JSON and nothing else. */
function linesOf(stdout: string): Record<string, unknown>[] {
  assert.isTrue(stdout.endsWith("\n"));
  return stdout
    .slice(0, -1)
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

const CLUSTER_FILE = {
  enabled: true,
  node_name: "worker-1",
  discovery: { method: "mdns" },
  tensor_protocol: { chunk_size: "4MiB", max_retries: 7, retry_base_delay: 250 },
};

export const configCommandSuite: Suite = ({ test }) => {
  test("headrace config: prints a JSON line a setting, with its value and who said so", () =>
    withTempFolder(async (folder) => {
      const file = join(folder, "cluster.json");
      await writeFile(file, JSON.stringify(CLUSTER_FILE));
      const { code, stdout, stderr } = await runHeadrace(["config", "--json", "--config", file], {
        OLLAMA_TENSOR_MAX_RETRIES: "unlimited",
        OLLAMA_TENSOR_ENABLE_COMPRESSION: "0",
      });
      assert.equal(code, 0, stderr);
      const settings = linesOf(stdout);
      assert.deepEqual(
        settings.map(({ key }) => key),
        Object.keys(SETTING_KEYS),
      );
      const byKey = Object.fromEntries(settings.map((one) => [one.key, one]));
      const said = (key: string, value: unknown, environment: string, origin: string) =>
        assert.deepEqual(byKey[key], { event: "setting", key, value, environment, origin });
      const inFile = `file ${file}`;
      const retries = "OLLAMA_TENSOR_MAX_RETRIES";
      const compression = "OLLAMA_TENSOR_ENABLE_COMPRESSION";
      said("node_name", "worker-1", "OLLAMA_CLUSTER_NODE_NAME", inFile);
      said("node_role", "mixed", "OLLAMA_CLUSTER_NODE_ROLE", "default");
      said("chunk_size", 4_194_304, "OLLAMA_TENSOR_CHUNK_SIZE", inFile);
      said("max_retries", "unlimited", retries, `environment ${retries}`);
      said("enable_compression", false, compression, `environment ${compression}`);
      said("retry_base_delay", 250, "OLLAMA_TENSOR_RETRY_DELAY", inFile);
      assert.equal(stderr, "headrace: not used: discovery\n");
    }));

  test("headrace config: prints a table with a head, its columns in line", async () => {
    const { code, stdout } = await runHeadrace(["config"], { OLLAMA_TENSOR_CHUNK_SIZE: "64KiB" });
    assert.equal(code, 0);
    const [head = "", ...rows] = stdout.trimEnd().split("\n");
    assert.deepEqual(head.split(/ +/), ["KEY", "VALUE", "ENVIRONMENT", "ORIGIN"]);
    assert.equal(rows.length, Object.keys(SETTING_KEYS).length);
    for (const row of rows) {
      for (const column of ["VALUE", "ENVIRONMENT", "ORIGIN"]) {
        const at = head.indexOf(column);
        assert.match(row.slice(at - 2, at + 1), /^ {2}\S$/, row);
      }
    }
    const chunkSize = rows.find((row) => row.startsWith("chunk_size "))?.split(/ {2,}/);
    const name = "OLLAMA_TENSOR_CHUNK_SIZE";
    assert.deepEqual(chunkSize, ["chunk_size", "65536", name, `environment ${name}`]);
  });

  test("headrace config: HEADRACE_CONFIG names the file, unless --config does", () =>
    withTempFolder(async (folder) => {
      const [one, other] = [join(folder, "one.json"), join(folder, "other.json")];
      await writeFile(one, '{"node_name": "one"}');
      await writeFile(other, '\uFEFF{"node_name": "\\u001b[31mother"}');
      const environment = { HEADRACE_CONFIG: one };
      const named = await runHeadrace(["config"], environment);
      assert.match(named.stdout, /node_name +one .*one\.json/);
      const told = await runHeadrace(["config", "--config", other], environment);
      assert.match(told.stdout, /node_name + \[31mother .*other\.json/);
      assert.notInclude(told.stdout, "\u001b");
    }));

  test("headrace config: what is not accepted ends in one line and exit code 2", () =>
    withTempFolder(async (folder) => {
      const fails = async (args: string[], environment: Record<string, string>, line: RegExp) => {
        const { code, stdout, stderr } = await runHeadrace(["config", ...args], environment);
        assert.equal(code, 2, stderr);
        assert.equal(stdout, "");
        assert.match(stderr, /^headrace: [^\n]+\n$/);
        assert.match(stderr, line);
      };
      const write = async (name: string, content: string | Uint8Array) => {
        await writeFile(join(folder, name), content);
        return ["--config", join(folder, name)];
      };
      await fails([], { OLLAMA_TENSOR_CHUNK_SIZE: "12" }, /chunk_size must be .*, found "12"/);
      await fails(["--config", join(folder, "none")], {}, /none: there is no such file/);
      await fails(["--config", folder], {}, /it is a folder/);
      await fails(await write("a", '{\n "enabled": yes}'), {}, /line 2, column 13/);
      await fails(await write("b", new Uint8Array([0x7b, 0xff, 0x7d])), {}, /not UTF-8/);
      await fails(await write("c", " ".repeat(1024 * 1024 + 1)), {}, /more than 1048576 bytes/);
      await fails(
        await write("d", '{"tensor_protocol": {"chunks": 1}}'),
        {},
        /unknown key "chunks"/,
      );
    }));

  test("headrace config: with --json a failure is one JSON line", async () => {
    const { code, stdout, stderr } = await runHeadrace(["config", "--json"], {
      OLLAMA_TENSOR_MAX_RETRIES: "often",
    });
    assert.equal(code, 2);
    assert.equal(stderr, "");
    const [line, ...rest] = linesOf(stdout);
    assert.isEmpty(rest);
    assert.include(line, { event: "error", code: "config", retryable: false });
    assert.match(String(line?.message), /max_retries must be .*"unlimited", found "often"/);
  });
};
