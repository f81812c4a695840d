// What `headrace serve --listen http://` answers, on one port.
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { assert } from "chai";
import type { Suite } from "../harness.ts";
import { sameBytes } from "../streams/support.ts";
import { doneOf, errorOf, withLab } from "./support/lab.ts";
import {
  assertSameFolder,
  type ModelPlan,
  shardName,
  tensorBytes,
  tensorName,
} from "./support/model.ts";

const PLAN: ModelPlan = { shards: 2, tensors: 2, tensorBytes: 2_500_001, seed: 3 };
const bytesOf = async (response: Response) => new Uint8Array(await response.arrayBuffer());

/** A connection that says this much, and reads nothing of what comes back. */
async function holding(port: number, text: string): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1" }).pause();
  socket.on("error", () => {});
  await once(socket, "connect");
  if (text) await new Promise<void>((resolve) => socket.write(text, () => resolve()));
  return socket;
}

export const serveHttpSuite: Suite = ({ test }) => {
  test("headrace serve: over http:// gives tensors to any client, and takes peers on the same port", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { url } = await lab.serve([source, "--listen", "http://127.0.0.1:0"]);
      const tensor = `${url}/llama/${shardName(PLAN, 1)}/${tensorName(1, 0)}`;
      const wanted = new Uint8Array(tensorBytes(PLAN, 1, 0));
      const whole = await fetch(tensor);
      assert.equal(whole.status, 200);
      assert.equal(whole.headers.get("headrace-dtype"), "U8");
      assert.isTrue(sameBytes(await bytesOf(whole), wanted));
      const etag = whole.headers.get("etag") as string;
      const part = await fetch(tensor, { headers: { range: "bytes=1000-1999", "if-range": etag } });
      assert.equal(part.status, 206);
      assert.isTrue(sameBytes(await bytesOf(part), wanted.subarray(1000, 2000)));
      const known = await fetch(tensor, { headers: { "if-none-match": etag } });
      assert.equal(known.status, 304);
      const leaves = await fetch(`${tensor}/leaves.sha256`);
      assert.equal((await bytesOf(leaves)).byteLength, 3 * 32);
      const missing = await fetch(`${url}/llama/nothing/here`);
      assert.equal(missing.status, 404);
      assert.notInclude(await missing.text(), source);
      const out = lab.path("out");
      doneOf(await lab.run(["pull", `${url.replace("http:", "ws:")}/llama`, "-o", out]));
      await assertSameFolder(out, source);
    }));

  test("headrace serve: over http:// ends at one Ctrl-C, whoever holds a connection", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", {
        ...PLAN,
        shards: 1,
        tensorBytes: 32 * 1024 * 1024,
      });
      const server = await lab.serve([source, "--listen", "http://127.0.0.1:0"]);
      const port = Number(new URL(server.url).port);
      const tensor = `/llama/${shardName({ ...PLAN, shards: 1 }, 0)}/${tensorName(0, 0)}`;
      const host = `Host: 127.0.0.1:${port}\r\n`;
      const upgrade =
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: headrace.2\r\n";
      const said = ["", `GET / HTTP/1.1\r\n${host}`, `GET ${tensor} HTTP/1.1\r\n${host}\r\n`];
      said.push(`GET / HTTP/1.1\r\n${host}${upgrade}\r\n`);
      // None of them reads.
      const sockets = await Promise.all(said.map((text) => holding(port, text)));
      server.process.signal("SIGINT");
      assert.equal(errorOf(await server.process.exit, 130).code, "interrupted");
      for (const socket of sockets) socket.destroy();
    }));

  test("headrace serve: what is wrong with its files is in its log, and told to nobody", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { url, process } = await lab.serve([source, "--listen", "http://127.0.0.1:0"]);
      await rm(join(source, `${shardName(PLAN, 0)}.safetensors`));
      const tensor = `${url}/llama/${shardName(PLAN, 0)}/${tensorName(0, 0)}`;
      const answer = await fetch(tensor);
      assert.equal(answer.status, 500);
      assert.notInclude(await answer.text(), source);
      await process.logged(/Answering a request failed: .*safetensors/);
      await rm(join(source, `${shardName(PLAN, 1)}.safetensors`));
      const peer = url.replace("http:", "ws:");
      const listed = errorOf(await lab.run(["ls", `${peer}/llama`]));
      for (const text of [JSON.stringify(listed), await (await fetch(`${url}/llama`)).text()]) {
        assert.include(text, "its own files fail it");
        assert.notInclude(text, source);
      }
      await process.logged(/Listing failed: Nothing to serve in/);
    }));

  test("headrace serve: over http:// asks for the token, and lets pages in by name only", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const secret = join(lab.path("."), "token");
      await writeFile(secret, "s3cret-s3cret-s3cret\n", { mode: 0o600 });
      const wrong = await lab.run(["serve", source, "--cors", "app.example"]);
      assert.match(errorOf(wrong, 2).message as string, /an origin such as https:\/\/app\.example/);
      const page = "https://app.example";
      const args = ["--listen", "http://127.0.0.1:0", "--token-file", secret, "--cors", `${page}/`];
      const { url } = await lab.serve([source, ...args]);
      const tensor = `${url}/llama/${shardName(PLAN, 0)}/${tensorName(0, 1)}`;
      const mine = { authorization: "Bearer s3cret-s3cret-s3cret" };
      const statusOf = async (headers: Record<string, string>) => {
        const response = await fetch(tensor, { headers });
        await response.body?.cancel();
        return response.status;
      };
      assert.equal(await statusOf({}), 401);
      assert.equal(await statusOf({ authorization: "Bearer wrong" }), 401);
      assert.equal(await statusOf(mine), 200);
      assert.equal(await statusOf({ ...mine, origin: page }), 200);
      assert.equal(await statusOf({ ...mine, origin: "https://evil.example" }), 403);
    }));
};
