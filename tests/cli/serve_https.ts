// `headrace cert`, and what `headrace serve --listen https://` answers on one port of TCP and UDP.
import { stat } from "node:fs/promises";
import { assert } from "chai";
import { connectorOf } from "../../lib/cli/runtime.ts";
import type { Suite } from "../harness.ts";
import { doneOf, errorOf, withLab } from "./support/lab.ts";
import { assertSameFolder, type ModelPlan } from "./support/model.ts";

const PLAN: ModelPlan = { shards: 2, tensors: 2, tensorBytes: 2_500_001, seed: 5 };

export const serveHttpsSuite: Suite = ({ test, runtime }) => {
  test("headrace serve: over https:// with a certificate of cert, which its hash in the URL pins", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const folder = lab.path("secret");
      const made = await lab.run(["cert", "-o", folder]);
      assert.equal(made.code, 0, made.stderr);
      const { cert, key, sha256, names } = JSON.parse(made.stdout);
      assert.deepEqual(names, ["localhost", "127.0.0.1", "::1"]);
      assert.equal((await stat(key)).mode & 0o777, 0o600);
      const listen = ["--listen", "https://127.0.0.1:0", "--cert", cert, "--key", key];
      const { url } = await lab.serve([source, ...listen]);
      const trusting = lab.path("trusting");
      doneOf(await lab.run(["pull", `${url}/llama`, "--ca", cert, "-o", trusting]));
      await assertSameFolder(trusting, source);
      if (runtime === "bun") {
        // It has neither WebTransport nor a certificate to look at, and must say so.
        const unheld = await lab.run(["ls", `${url}/llama#sha256=${sha256}`]);
        assert.equal(unheld.code, 2);
        assert.match(
          unheld.stdout,
          /cannot be held to one certificate in this runtime: give its authority by --ca/,
        );
        return;
      }
      const out = lab.path("out");
      doneOf(await lab.run(["pull", `${url}/llama#sha256=${sha256}`, "-o", out]));
      await assertSameFolder(out, source);
      const connect = await connectorOf(`${url}#sha256=${sha256}`);
      const connection = await connect();
      assert.equal(connection.lanes !== undefined, runtime === "deno", "WebTransport has lanes");
      connection.close();
      const wrong = `${url}/llama#sha256=${"0".repeat(64)}`;
      const refused = await lab.run(["ls", wrong], {
        environment: { OLLAMA_TENSOR_MAX_RETRIES: "0" },
      });
      assert.equal(refused.code, 1);
      if (runtime !== "deno") assert.match(refused.stdout, /has the SHA-256 .* wanted 000/);
    }));

  test("headrace cert: refuses to replace a certificate, and to make one that browsers would not take", () =>
    withLab(async (lab) => {
      const folder = lab.path("secret");
      const first = await lab.run(["cert", "-o", folder, "--name", "peer.lan", "--days", "1"]);
      assert.equal(first.code, 0, first.stderr);
      assert.deepEqual(JSON.parse(first.stdout).names, ["peer.lan"]);
      for (const name of ["https://peer.lan", "peer.lan:443", "a b", "1.2.3"]) {
        const wrong = await lab.run(["cert", "-o", lab.path("wrong"), "--name", name]);
        assert.match(errorOf(wrong, 2).message as string, /a host name or an address/, name);
      }
      const named = await lab.run(["cert", "-o", lab.path("six"), "--name", "[::1]"]);
      assert.deepEqual(named.events[0]?.names, ["::1"]);
      const second = await lab.run(["cert", "-o", folder]);
      assert.equal(second.code, 2);
      assert.match(second.stdout, /add --overwrite/);
      assert.equal((await lab.run(["cert", "-o", folder, "--overwrite"])).code, 0);
      for (const days of ["0", "15", "many"]) {
        const refused = await lab.run(["cert", "-o", lab.path("other"), "--days", days]);
        assert.equal(refused.code, 2);
        assert.match(refused.stdout, new RegExp(`found .+${days}`));
      }
    }));
};
