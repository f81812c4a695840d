// What the command line does with the settings that only it acts on.
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { assert } from "chai";
import type { Suite } from "../harness.ts";
import { makeCertificate } from "../transports/certificate.ts";
import { runHeadrace } from "./run_headrace.ts";
import { doneOf, errorOf, type Lab, withLab } from "./support/lab.ts";
import { assertSameFolder, type ModelPlan } from "./support/model.ts";

const PLAN: ModelPlan = { shards: 1, tensors: 2, tensorBytes: 300_001, seed: 5 };
const TOKEN = "t0ken-t0ken-t0ken";

async function clusterFile(lab: Lab, name: string, content: unknown): Promise<string> {
  const path = lab.path(name);
  await writeFile(path, JSON.stringify(content));
  return path;
}

export const settingsInForceSuite: Suite = ({ test }) => {
  test("settings in force: a node that is not enabled does not serve, and says who said so", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const config = await clusterFile(lab, "off.json", { enabled: false });
      const byFile = await lab.run(["serve", source, "--config", config]);
      assert.match(errorOf(byFile, 2).message as string, /enabled is false \(file .*off\.json\)/);
      const environment = { OLLAMA_CLUSTER_ENABLED: "0" };
      const byName = await lab.run(["serve", source], { environment });
      const told = /enabled is false \(environment OLLAMA_CLUSTER_ENABLED\)/;
      assert.match(errorOf(byName, 2).message as string, told);
      const { url } = await lab.serve([source, "--config", config, "--set", "enabled=true"]);
      const listed = await lab.run(["ls", url, "--config", config]);
      assert.equal(listed.code, 0, listed.stderr);
    }));

  test("settings in force: the token file of a cluster file lets in, and HEADRACE_TOKEN stands above it", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      await writeFile(lab.path("token"), `${TOKEN}\n`);
      await writeFile(lab.path("other"), "0ther-0ther-0ther");
      const section = (token_file: string) => ({ tensor_protocol: { token_file } });
      const config = await clusterFile(lab, "a.json", section(lab.path("token")));
      const wrong = await clusterFile(lab, "b.json", section(lab.path("other")));
      const { url } = await lab.serve([source, "--config", config]);
      const ls = (args: string[], environment = {}) =>
        lab.run(["ls", url, ...args], { environment });
      assert.equal((await ls(["--config", config])).code, 0);
      assert.equal(errorOf(await ls(["--config", wrong])).code, "unauthorised");
      const file = { OLLAMA_TENSOR_TOKEN_FILE: lab.path("token") };
      assert.equal((await ls(["--config", wrong], file)).code, 0);
      assert.equal((await ls(["--config", wrong], { HEADRACE_TOKEN: TOKEN })).code, 0);
      assert.equal(
        (await ls(["--token-file", lab.path("token")], { HEADRACE_TOKEN: "x" })).code,
        0,
      );
    }));

  test("settings in force: certificate, key and authority of a cluster file make tls:// work", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { cert, key } = makeCertificate();
      await writeFile(lab.path("cert.pem"), cert);
      await writeFile(lab.path("key.pem"), key);
      const config = await clusterFile(lab, "tls.json", {
        tensor_protocol: {
          cert_file: lab.path("cert.pem"),
          key_file: lab.path("key.pem"),
          ca_file: lab.path("cert.pem"),
        },
      });
      const listen = ["--listen", "tls://localhost:0"];
      const { url } = await lab.serve([source, ...listen, "--config", config]);
      const out = lab.path("out");
      doneOf(await lab.run(["pull", `${url}/llama`, "-o", out, "--config", config]));
      await assertSameFolder(out, source);
      assert.equal(errorOf(await lab.run(["ls", url])).code, "transport");
    }));

  test("settings in force: pin_sha256 of a file or the environment is the certificate that is trusted", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { cert, key, sha256 } = makeCertificate();
      await writeFile(lab.path("cert.pem"), cert);
      await writeFile(lab.path("key.pem"), key);
      const files = ["--cert", lab.path("cert.pem"), "--key", lab.path("key.pem")];
      const { url } = await lab.serve([source, "--listen", "tls://localhost:0", ...files]);
      const pinned = (pin_sha256: string) => ({ tensor_protocol: { pin_sha256 } });
      const right = await clusterFile(lab, "right.json", pinned(sha256));
      const wrong = await clusterFile(lab, "wrong.json", pinned("0".repeat(64)));
      const ls = (config: string, environment = {}) =>
        lab.run(["ls", url, "--config", config], { environment });
      if ("Deno" in globalThis) {
        // It is heard, and refused by a runtime that shows programs no certificate.
        assert.match(errorOf(await ls(right)).message as string, /none can be pinned/);
        return;
      }
      assert.equal((await ls(right)).code, 0);
      assert.match(errorOf(await ls(wrong)).message as string, /wanted 0{64}/);
      assert.equal((await ls(wrong, { OLLAMA_TENSOR_PIN_SHA256: sha256 })).code, 0);
    }));

  test("settings in force: whoever shows no certificate is not dialled under a pin, however that is said", () =>
    withLab(async (lab) => {
      const pin = "0f".repeat(32);
      const url = "tcp://127.0.0.1:1/llama";
      const environment = { OLLAMA_TENSOR_PIN_SHA256: pin };
      const said = [
        lab.run(["ls", url, "--set", `pin_sha256=${pin}`]),
        lab.run(["ls", url], { environment }),
        lab.run(["ls", `${url}#sha256=${pin}`]),
        lab.run(["ls", `${url.replace("tcp", "ws")}#sha256=${pin}`]),
      ];
      for (const refused of await Promise.all(said)) {
        assert.match(errorOf(refused, 2).message as string, /has no certificate/);
      }
    }));

  test("settings in force: connect_timeout of a file or the environment is how long a dial is waited for", () =>
    withLab(async (lab) => {
      // Takes connections and says nothing, so that no TLS handshake comes about.
      const silent = createServer(() => {});
      await once(silent.listen(0, "127.0.0.1"), "listening");
      const { port } = silent.address() as AddressInfo;
      const section = { connect_timeout: "70ms", max_retries: 0 };
      const config = await clusterFile(lab, "soon.json", { tensor_protocol: section });
      const ls = async (environment = {}) => {
        const args = ["ls", `tls://127.0.0.1:${port}`, "--config", config];
        return errorOf(await lab.run(args, { environment })).message as string;
      };
      assert.include(await ls(), "no connection within 70 ms");
      const sooner = { OLLAMA_TENSOR_CONNECT_TIMEOUT: "60" };
      assert.include(await ls(sooner), "no connection within 60 ms");
      silent.close();
    }));

  test("settings in force: log_level comes from the flag, the environment, the file, in that order", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { url } = await lab.serve([source]);
      const debug = await clusterFile(lab, "a.json", { tensor_protocol: { log_level: "debug" } });
      const logs = async (args: string[], environment = {}) => {
        const { code, stderr } = await lab.run(["ls", url, ...args], { environment });
        assert.equal(code, 0, stderr);
        return / debug session: /.test(stderr);
      };
      assert.isFalse(await logs([]));
      assert.isTrue(await logs(["--config", debug]));
      assert.isTrue(await logs([], { OLLAMA_LOG_LEVEL: "DEBUG" }));
      assert.isFalse(await logs(["--config", debug], { OLLAMA_LOG_LEVEL: "error" }));
      assert.isTrue(await logs(["--log-level", "debug"], { OLLAMA_LOG_LEVEL: "error" }));
    }));

  test("settings in force: --set says any of them, above environment and file", async () => {
    const environment = { OLLAMA_TENSOR_CHUNK_SIZE: "64KiB" };
    const args = [
      "--set",
      "chunk_size=4MiB",
      "--set=max_retries=unlimited",
      "--set",
      "node_name=a=b",
    ];
    const { code, stdout, stderr } = await runHeadrace(["config", "--json", ...args], environment);
    assert.equal(code, 0, stderr);
    const settings = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const said = (key: string) => {
      const { value, origin } = settings.find((one) => one.key === key);
      return [value, origin];
    };
    assert.deepEqual(said("chunk_size"), [4_194_304, "option --set chunk_size"]);
    assert.deepEqual(said("max_retries"), ["unlimited", "option --set max_retries"]);
    assert.deepEqual(said("node_name"), ["a=b", "option --set node_name"]);
    assert.deepEqual(said("token_file"), [null, "default"]);
    for (const [given, told] of [
      ["chunk_size=12", /--set chunk_size must be .*, found "12"/],
      ["chunksize=12", /--set: unknown key "chunksize" \(value "12"\), did you mean chunk_size\?/],
      ["chunk_size", /--set needs KEY=VALUE, found "chunk_size"/],
    ] as const) {
      const failed = await runHeadrace(["config", "--set", given]);
      assert.equal(failed.code, 2);
      assert.match(failed.stderr, told);
    }
  });
};
