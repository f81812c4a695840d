// What a server shows of itself, over HTTP and to the command that asks.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import nodeTls from "node:tls";
import { assert } from "chai";
import type { Suite } from "../harness.ts";
import { makeCertificate } from "../transports/certificate.ts";
import { cleanEnvironment, headraceProgram } from "./run_headrace.ts";
import type { Lab, LabServer } from "./support/lab.ts";
import { doneOf, errorOf, withLab } from "./support/lab.ts";
import type { ModelPlan } from "./support/model.ts";

const PLAN: ModelPlan = { shards: 1, tensors: 1, tensorBytes: 6_000_000, seed: 5 };
const TOKEN = "open sesame";
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

interface Shown {
  readonly server: LabServer;
  readonly status: string;
  readonly tokenFile: string;
  readonly source: string;
}

async function serveShown(lab: Lab): Promise<Shown> {
  const source = await lab.model("llama", PLAN);
  const tokenFile = lab.path("token");
  await writeFile(tokenFile, `${TOKEN}\n`);
  const args = [source, "--status", "127.0.0.1:0", "--token-file", tokenFile];
  const server = await lab.serve(args);
  const { status } = await server.process.event("listening");
  return { server, status: status as string, tokenFile, source };
}

const hasTrust = (tls: object): boolean => "setDefaultCACertificates" in tls;

export const serveStatusSuite: Suite = ({ test }) => {
  test("headrace status: shows what a server has under way, which the token can cancel", () =>
    withLab(async (lab) => {
      const { server, status, tokenFile } = await serveShown(lab);
      assert.match(status, /^http:\/\/127\.0\.0\.1:\d+$/);
      const link = await lab.slowLink(server.url, 500_000);
      const out = lab.path("out");
      const pull = lab.start(["pull", `${link.url}/llama`, "-o", out, "--token-file", tokenFile]);
      const events = await fetch(`${status}/api/events?intervalMs=250`);
      const reader = (events.body as ReadableStream<Uint8Array>).getReader();
      let text = "";
      while (!/"phase":"moving"/.test(text)) {
        const { value } = await reader.read();
        text += new TextDecoder().decode(value);
      }
      await reader.cancel();
      const exit = await lab.run(["status", status]);
      assert.equal(doneOf(exit).nodes, 1);
      const [shown] = exit.events as unknown as {
        event: string;
        transfers: { id: string; direction: string; address: string; status: string }[];
      }[];
      assert.equal(shown?.event, "status");
      const [transfer] = shown?.transfers ?? [];
      assert.equal(transfer?.direction, "out");
      assert.match(transfer?.address ?? "", /^llama\//);
      const path = `${status}/api/transfers/${transfer?.id}`;
      const priority = { method: "POST", body: '{"priority":200}' };
      const refused = await fetch(`${path}/priority`, priority);
      assert.equal(refused.status, 401);
      const changed = await fetch(`${path}/priority`, { ...priority, headers: bearer(TOKEN) });
      assert.equal((await changed.json()).priority, 200);
      const cancel = { method: "POST", headers: bearer(TOKEN) };
      assert.equal((await (await fetch(`${path}/cancel`, cancel)).json()).status, "cancelled");
      errorOf(await pull.exit);
      const metrics = await (await fetch(`${status}/metrics`)).text();
      const promtool = spawnSync("promtool", ["check", "metrics"], { input: metrics });
      if (promtool.error) console.warn("SKIPPED: promtool is not installed (Debian: prometheus)");
      else assert.equal(promtool.status, 0, `${promtool.stdout}${promtool.stderr}`);
    }));

  test("headrace status: a node that does not answer fails it, and hides none of the others", () =>
    withLab(async (lab) => {
      const { status, server } = await serveShown(lab);
      const none = "http://127.0.0.1:9";
      const exit = await lab.run(["status", status, none]);
      errorOf(exit);
      assert.deepEqual(
        exit.events.map(({ event, url }) => [event, url]),
        [
          ["status", status],
          ["unreachable", none],
          ["error", undefined],
        ],
      );
      errorOf(await lab.run(["status", server.url]), 2);
      errorOf(await lab.run(["status", "nonsense"]), 2);
    }));

  test("headrace status: --watch says of each node why it does not answer, every time", async () => {
    const { program, args } = headraceProgram();
    const words = ["status", "http://127.0.0.1:9", "--watch"];
    const child = spawn(program, [...args, ...words], { env: cleanEnvironment() });
    const ended = once(child, "close");
    let text = "";
    for await (const line of createInterface({ input: child.stdout })) {
      text += `${line}\n`;
      if (text.match(/did not answer/g)?.length === 2) break;
    }
    child.kill("SIGKILL");
    await ended;
    const looks = /^(0 nodes, [^\n]*\nhttp:\/\/127\.0\.0\.1:9 did not answer[^\n]*\n){2}$/;
    assert.match(text, looks);
  });

  test("headrace status: off loopback it is asked by https, and --ca says whom to trust", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { cert, key } = makeCertificate();
      const certFile = lab.path("cert.pem");
      const keyFile = lab.path("key.pem");
      const tokenFile = lab.path("token");
      await writeFile(certFile, cert);
      await writeFile(keyFile, key);
      await writeFile(tokenFile, TOKEN);
      const tls = ["--cert", certFile, "--key", keyFile, "--token-file", tokenFile];
      const server = await lab.serve([source, "--status", "0.0.0.0:0", ...tls]);
      const { status } = await server.process.event("listening");
      assert.match(status as string, /^https:\/\/0\.0\.0\.0:\d+$/);
      const url = `https://localhost:${new URL(status as string).port}`;
      const ask = (args: string[], environment = {}) =>
        lab.run(["status", url, "--token-file", tokenFile, ...args], { environment });
      assert.match(errorOf(await ask([])).message as string, /certificate/i);
      const trusted = await ask(["--ca", certFile]);
      const isOldNode = !("Deno" in globalThis || "Bun" in globalThis || hasTrust(nodeTls));
      if (isOldNode) {
        assert.match(errorOf(trusted, 2).message as string, /set NODE_EXTRA_CA_CERTS/);
        assert.equal(doneOf(await ask([], { NODE_EXTRA_CA_CERTS: certFile })).nodes, 1);
      } else {
        assert.equal(doneOf(trusted).nodes, 1);
      }
    }));

  test("headrace serve: where --status may listen is held to the same rules as where peers are let in", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const open = await lab.run(["serve", source, "--status", "0.0.0.0:0"]);
      assert.match(String(errorOf(open, 2).message), /--token-file/);
      for (const text of ["8080", "host:99999", "http://127.0.0.1:1", "a b:1"]) {
        errorOf(await lab.run(["serve", source, "--status", text]), 2);
      }
    }));
};
