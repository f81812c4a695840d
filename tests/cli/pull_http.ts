// `headrace pull` and `headrace ls` over plain HTTP: from our own server, and from any other.
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { assert } from "chai";
import { makeWeights } from "../../lib/cli/demo_weights.ts";
import { UsageError } from "../../lib/cli/describe_error.ts";
import { parseHttpUrl } from "../../lib/cli/http_url.ts";
import type { SlowLink } from "../../lib/cli/slow_link.ts";
import type { Suite } from "../harness.ts";
import { safetensorsFile, type WebFile, withWebServer } from "../http/support/web_server.ts";
import type { HeadraceProcess } from "./support/headrace_process.ts";
import { doneOf, errorOf, withLab } from "./support/lab.ts";
import {
  assertSameFile,
  assertSameFolder,
  finalNames,
  type ModelPlan,
  modelBytes,
  shardName,
  tensorName,
} from "./support/model.ts";

const MiB = 1024 * 1024;
const PLAN: ModelPlan = { shards: 2, tensors: 3, tensorBytes: 2 * MiB + 4321, seed: 5 };
const LISTEN = ["--listen", "http://127.0.0.1:0"];
const run = promisify(execFile);

/** Waits until `bytes` more have come through the link to a pull. */
async function more(link: SlowLink, bytes: number, pull: HeadraceProcess): Promise<void> {
  const ended = pull.exit.then(({ stdout, stderr }) => {
    throw new Error(`The pull ended before it was to be cut:\n${stdout}${stderr}`);
  });
  await Promise.race([link.passed(link.passedBytes + bytes), ended]);
}

const hasCurl = (): Promise<boolean> =>
  run("curl", ["--version"]).then(
    () => true,
    () => false,
  );

export const pullHttpSuite: Suite = ({ test }) => {
  test("headrace pull: over http:// a whole model arrives byte-identical, and is known to be there", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { url } = await lab.serve([source, ...LISTEN]);
      const out = lab.path("out");
      const pull = ["pull", `${url}/llama`, "-o", out];
      const done = doneOf(await lab.run(pull));
      await assertSameFolder(out, source);
      assert.equal(done.verified, "digests");
      assert.equal(done.tensors, 6 + 2); // and the side files
      assert.isAbove(done.wireBytes as number, modelBytes(PLAN));
      const again = doneOf(await lab.run(pull));
      assert.isBelow(again.wireBytes as number, 64 * 1024);
      const peer = doneOf(
        await lab.run(["pull", `${url.replace("http", "ws")}/llama`, "-o", lab.path("peer")]),
      );
      assert.equal(peer.verified, "root");
      assert.deepEqual(done.roots, peer.roots);
    }));

  test("headrace pull: over http:// files and tensors are fetched by themselves, and ls lists them", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { url } = await lab.serve([source, ...LISTEN]);
      const [shard, tensor] = [shardName(PLAN, 1), tensorName(1, 2)];
      const file = lab.path("one.safetensors");
      doneOf(await lab.run(["pull", `${url}/llama/${shard}`, "-o", file]));
      await assertSameFile(file, join(source, `${shard}.safetensors`));
      const single = lab.path("tensor.safetensors");
      const done = doneOf(await lab.run(["pull", `${url}/llama/*/${tensor}`, "-o", single]));
      assert.equal(done.bytes, PLAN.tensorBytes);
      const { events } = await lab.run(["ls", `${url}/llama/${shard}`]);
      const listed = events.filter(({ event }) => event === "tensor");
      assert.lengthOf(listed, 1 + PLAN.tensors);
      assert.deepInclude(listed[3], { address: `llama/${shard}/${tensor}`, dtype: "U8" });
      const missing = errorOf(await lab.run(["pull", `${url}/other`, "-o", lab.path("x")]));
      assert.equal(missing.code, "not_found");
    }));

  test("headrace pull: over http:// a token is needed where it is asked for", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const secret = lab.path("token");
      await writeFile(secret, "s3cret-s3cret-s3cret\n", { mode: 0o600 });
      const token = ["--token-file", secret];
      const { url } = await lab.serve([source, ...LISTEN, ...token]);
      const out = lab.path("out");
      const pull = ["pull", `${url}/llama`, "-o", out];
      assert.equal(errorOf(await lab.run(pull)).code, "unauthorised");
      doneOf(await lab.run([...pull, ...token]));
      await assertSameFolder(out, source);
    }));

  test("headrace pull: over http:// real weights, killed again and again, go on from what was verified", () =>
    withLab(async (lab) => {
      const source = lab.path("weights");
      const { bytes } = await makeWeights(source);
      const server = await lab.serve([source, ...LISTEN]);
      const link = await lab.slowLink(server.url, 64 * MiB);
      const out = lab.path("out");
      const pull = ["pull", `${link.url.replace("tcp", "http")}/weights`, "-o", out];
      for (let cut = 0; cut < 3; cut++) {
        const killed = lab.start(pull);
        await more(link, Math.floor(bytes / 5), killed);
        await killed.kill();
        assert.isEmpty(await finalNames(out));
      }
      const done = doneOf(await lab.run(pull));
      await assertSameFolder(out, source);
      // What was in flight at a cut is a leaf of each request, in the worst case.
      assert.isAtLeast(done.resumedBytes as number, 3 * (Math.floor(bytes / 5) - 16 * MiB));
      assert.isAbove(done.resumedBytes as number, 0);
      assert.equal(done.verified, "digests");
    }));

  test("headrace pull: over http:// the server killed and started again, it goes on by itself", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", { ...PLAN, tensors: 6 });
      const first = await lab.serve([source, ...LISTEN]);
      const link = await lab.slowLink(first.url, 32 * MiB);
      const out = lab.path("out");
      const environment = { OLLAMA_TENSOR_RETRY_DELAY: "100", OLLAMA_TENSOR_MAX_RETRIES: "20" };
      const url = `${link.url.replace("tcp", "http")}/llama`;
      const pull = lab.start(["pull", url, "-o", out], { environment });
      await more(link, 9 * MiB, pull);
      await first.process.kill();
      assert.isEmpty(await finalNames(out));
      await lab.serve([source, "--listen", first.url]);
      const done = doneOf(await pull.exit);
      assert.isAtLeast(done.retries as number, 1);
      await assertSameFolder(out, source);
    }));

  test("headrace pull: a file of any web server comes whole, and says that only its length is known", () =>
    withLab(async (lab) => {
      const bytes = safetensorsFile({ a: 2 * MiB, b: 3 * MiB + 1 });
      const wanted = lab.path("wanted");
      await writeFile(wanted, bytes);
      await withWebServer({ bytes, etag: '"v1"' }, async ({ url, asked }) => {
        const cwd = lab.path(".");
        const done = doneOf(await lab.run(["pull", `${url}?sig=1`], { cwd }));
        await assertSameFile(lab.path("tiny.safetensors"), wanted);
        assert.deepInclude(done, { tensors: 2, bytes: bytes.byteLength, verified: "length" });
        assert.isTrue(asked.every((one) => one.url.endsWith("?sig=1")));
        const { events } = await lab.run(["ls", url]);
        const listed = events.filter(({ event }) => event === "tensor").map((one) => one.address);
        assert.deepEqual(listed, ["tiny/tiny/__metadata__", "tiny/tiny/a", "tiny/tiny/b"]);
        const one = lab.path("a.safetensors");
        doneOf(await lab.run(["pull", `${url}#a`, "-o", one]));
        await writeFile(wanted, safetensorsFile({ a: 2 * MiB }));
        await assertSameFile(one, wanted);
      });
    }));

  test("headrace pull: over http:// limits and patience are those that were set", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { url } = await lab.serve([source, ...LISTEN]);
      const pull = (from: string, ...set: string[]) =>
        lab.run(["pull", from, "-o", lab.path("out"), ...set.flatMap((one) => ["--set", one])]);
      assert.equal(errorOf(await pull(`${url}/llama`, "max_tensor_size=1MiB")).code, "limit");
      const bytes = safetensorsFile({ a: 2 * MiB });
      let answers = 0;
      const silent: WebFile = {
        bytes,
        answer: ({ count }, outgoing) => {
          if (count === 0) return false;
          answers++;
          outgoing.writeHead(200, { "content-length": `${bytes.byteLength}` });
          outgoing.write(bytes.subarray(0, 1000));
          return true;
        },
      };
      await withWebServer(silent, async (server) => {
        const patience = ["stall_timeout=100ms", "max_retries=1", "retry_base_delay=1ms"];
        const error = errorOf(await pull(server.url, ...patience));
        assert.match(error.message as string, /stood still for 100 ms/);
        assert.equal(answers, 2);
        assert.equal(errorOf(await pull(server.url, "max_tensor_size=1MiB")).code, "limit");
      });
    }));

  test("headrace pull: a file of a web server, killed in the middle, goes on by its strong tag only", () =>
    withLab(async (lab) => {
      const bytes = safetensorsFile({ w: 9 * MiB + 5 });
      const wanted = lab.path("wanted");
      await writeFile(wanted, bytes);
      for (const [etag, isResumed] of [
        ['"v1"', true],
        ['W/"v1"', false],
      ] as const) {
        const out = lab.path(isResumed ? "strong" : "weak");
        let killed: HeadraceProcess | undefined;
        let halfway = () => {};
        const isHalfway = new Promise<void>((resolve) => {
          halfway = resolve;
        });
        const answer: WebFile["answer"] = ({ count, range }, outgoing) => {
          if (count !== 1) return false;
          const total = bytes.byteLength;
          assert.equal(range, `bytes=0-${total - 1}`);
          const part = { "content-range": `bytes 0-${total - 1}/${total}` };
          outgoing.writeHead(206, { etag, "content-length": total, ...part });
          outgoing.write(bytes.subarray(0, 5 * MiB), halfway);
          return true; // and nothing more until the client is gone
        };
        await withWebServer({ bytes, etag, answer }, async ({ url, asked }) => {
          killed = lab.start(["pull", url, "-o", out]);
          await isHalfway;
          // Some of it is verified by then, and told.
          await killed.event("progress", (event) => (event.bytes as number) >= 3 * MiB);
          await killed.kill();
          assert.isEmpty(await finalNames(out));
          const before = asked.length;
          const done = doneOf(await lab.run(["pull", url, "-o", out]));
          await assertSameFile(out, wanted);
          assert.equal((done.resumedBytes as number) >= 3 * MiB, isResumed);
          const from = Number(/=(\d+)/.exec(asked[before + 1]?.range ?? "")?.[1]);
          assert.equal(from > 0, isResumed);
        });
      }
    }));

  test("headrace pull: a file that changes while it comes is begun again, one that is there is compared", () =>
    withLab(async (lab) => {
      const [first, second] = [1, 2].map((seed) => safetensorsFile({ w: 4 * MiB }, seed));
      const wanted = lab.path("wanted");
      await writeFile(wanted, second as Uint8Array);
      const file: WebFile = { bytes: first as Uint8Array, etag: '"1"' };
      file.meddle = ({ count }, answer) => {
        if (count !== 1) return;
        answer.cutAfter = 2 * MiB + 10;
        Object.assign(file, { bytes: second, etag: '"2"' });
      };
      await withWebServer(file, async ({ url }) => {
        const out = lab.path("out.safetensors");
        const environment = { OLLAMA_TENSOR_RETRY_DELAY: "1" };
        const exit = await lab.run(["pull", url, "-o", out], { environment });
        doneOf(exit);
        assert.isTrue(exit.events.some(({ event }) => event === "changed"));
        await assertSameFile(out, wanted);
        doneOf(await lab.run(["pull", url, "-o", out]));
        Object.assign(file, { bytes: first, etag: '"1"' });
        const error = errorOf(await lab.run(["pull", url, "-o", out]));
        assert.equal(error.code, "storage");
        await assertSameFile(out, wanted);
        doneOf(await lab.run(["pull", url, "-o", out, "--overwrite"]));
        await writeFile(wanted, first as Uint8Array);
        await assertSameFile(out, wanted);
      });
    }));

  test("headrace pull: the environment's token is not for web servers that a URL names", () =>
    withLab(async (lab) => {
      const bytes = safetensorsFile({ w: 10 });
      const secret = lab.path("token");
      await writeFile(secret, "for-this-host");
      await withWebServer({ bytes }, async ({ url, asked }) => {
        const environment = { HEADRACE_TOKEN: "for-my-peers" };
        doneOf(await lab.run(["ls", url], { environment }));
        assert.isUndefined(asked[0]?.authorization);
        doneOf(await lab.run(["ls", url, "--token-file", secret], { environment }));
        assert.equal(asked.at(-1)?.authorization, "Bearer for-this-host");
      });
    }));

  test("headrace serve: curl fetches, resumes and lists over http://", async () => {
    if (!(await hasCurl())) {
      console.warn("SKIPPED here: CURL IS NOT ON THIS MACHINE");
      return;
    }
    await withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { url } = await lab.serve([source, ...LISTEN]);
      const path = `llama/${shardName(PLAN, 0)}/${tensorName(0, 1)}`;
      const part = lab.path("part");
      const whole = lab.path("whole");
      const curl = (...args: string[]) =>
        run("curl", ["--silent", "--show-error", "--fail", ...args]);
      await curl("--range", "0-999999", "-o", part, `${url}/${path}`);
      await curl("--continue-at", "-", "-o", part, `${url}/${path}`);
      await curl("-o", whole, `${url}/${path}`);
      await assertSameFile(part, whole);
      const list = JSON.parse((await curl(`${url}/llama`)).stdout) as { tensors: unknown[] };
      assert.lengthOf(list.tensors, 2 * (1 + PLAN.tensors) + 2);
      assert.deepEqual(JSON.parse((await curl(url)).stdout), { models: ["llama"] });
    });
  });

  test("command line: a URL says whether plain HTTP is meant, and of what", () => {
    const any = { model: "*", partition: "*", tensor: "*" };
    const cases: [string, boolean, ReturnType<typeof parseHttpUrl>][] = [
      ["http://h:1", false, { kind: "server", url: "http://h:1", pattern: any }],
      [
        "http://h:1/m/",
        false,
        { kind: "server", url: "http://h:1", pattern: { ...any, model: "m" } },
      ],
      ["https://h/m", true, { kind: "server", url: "https://h", pattern: { ...any, model: "m" } }],
      ["https://h/m", false, undefined],
      ["tcp://h:1/m.safetensors", false, undefined],
      [
        "http://h/a/b.safetensors",
        false,
        { kind: "file", url: "http://h/a/b.safetensors", tensor: "" },
      ],
      [
        "https://h/b.safetensors?x=/m#a/*",
        false,
        { kind: "file", url: "https://h/b.safetensors?x=/m", tensor: "a/*" },
      ],
    ];
    for (const [text, isPlain, wanted] of cases) {
      assert.deepEqual(parseHttpUrl(text, isPlain), wanted, text);
    }
    for (const wrong of [
      "http://",
      "http://h/a/b/c/d",
      "http://u:p@h/m",
      "http://h/m?x",
      "http://h/%zz",
    ]) {
      assert.throws(() => parseHttpUrl(wrong, false), UsageError);
    }
    assert.throws(
      () => parseHttpUrl("http://u:p@h/m", false),
      UsageError,
      /^"http:\/\/\*\*\*@h" is not/,
    );
    assert.throws(() => parseHttpUrl("tcp://h:1/m", true), UsageError, /--http/);
  });
};
