import { Buffer } from "node:buffer";
import { execFile } from "node:child_process";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { assert } from "chai";
import type { Suite } from "../harness.ts";
import { headraceProgram, runHeadrace } from "./run_headrace.ts";
import { doneOf, errorOf, withLab } from "./support/lab.ts";
import {
  assertSameFile,
  assertSameFolder,
  filesOf,
  finalNames,
  type ModelPlan,
  modelBytes,
  randomBytes,
  shardHeader,
  shardName,
  tensorBytes,
  tensorName,
} from "./support/model.ts";

const MiB = 1024 * 1024;
const PLAN: ModelPlan = { shards: 3, tensors: 3, tensorBytes: 1_500_001, seed: 1 };

async function folderBytes(folder: string): Promise<number> {
  let sum = 0;
  for (const bytes of (await filesOf(folder)).values()) sum += bytes.byteLength;
  return sum;
}

export const pullSuite: Suite = ({ test }) => {
  test("headrace pull: shards, index and configuration arrive byte for byte, and just once", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { url } = await lab.serve([source]);
      const out = lab.path("out");
      const first = doneOf(await lab.run(["pull", `${url}/llama`, "-o", out]));
      await assertSameFolder(out, source);
      const bytes = await folderBytes(source);
      assert.include(first, { tensors: 11, bytes, resumedBytes: 0, retries: 0 });
      assert.isAtLeast(first.wireBytes as number, modelBytes(PLAN));
      assert.isAtMost(first.wireBytes as number, modelBytes(PLAN) + 64 * 1024);
      assert.isAtLeast(first.elapsedMs as number, 1);
      const before = await stat(join(out, "config.json"));
      const again = doneOf(await lab.run(["pull", `${url}/llama`, "-o", out]));
      assert.include(again, { tensors: 11, bytes });
      assert.isBelow(again.wireBytes as number, 32 * 1024);
      await assertSameFolder(out, source);
      const after = await stat(join(out, "config.json"));
      assert.deepEqual([after.ino, after.mtimeMs], [before.ino, before.mtimeMs]);
    }));

  test("headrace pull: goes by WebSocket as by TCP, from one server, and says what a URL may be", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const both = ["--listen", "ws://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0"];
      const { urls } = await lab.serve([source, ...both]);
      assert.lengthOf(urls, 2);
      for (const [n, url] of urls.entries()) {
        assert.isTrue(url.startsWith(n === 0 ? "ws://" : "tcp://"));
        const out = lab.path(`out-${n}`);
        doneOf(await lab.run(["pull", `${url}/llama`, "-o", out]));
        await assertSameFolder(out, source);
      }
      for (const url of urls) {
        const pinned = await lab.run(["ls", url, "--pin", "0".repeat(64)]);
        assert.match(
          errorOf(pinned, 2).message as string,
          /has no certificate: --ca and --pin are for tls:/,
        );
      }
      const other = await lab.run(["ls", "quic://127.0.0.1:1"]);
      assert.match(
        errorOf(other, 2).message as string,
        /tcp:\/\/, tls:\/\/, ws:\/\/, wss:\/\/ and https:/,
      );
    }));

  test("headrace pull: a file, a tensor or what a wildcard names comes as a file of that format", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { url } = await lab.serve([source]);
      const shard = shardName(PLAN, 1);
      const [file, one, many] = [lab.path("file.bin"), lab.path("one.bin"), lab.path("many")];
      doneOf(await lab.run(["pull", `${url}/llama/${shard}`, "-o", file]));
      await assertSameFile(file, join(source, `${shard}.safetensors`));

      const name = tensorName(1, 2);
      doneOf(await lab.run(["pull", `${url}/llama/${shard}/${name}`, "-o", one]));
      const single = await readFile(one);
      const headerBytes = 8 + Number(single.readBigUInt64LE(0));
      const header = JSON.parse(single.toString("utf8", 8, headerBytes));
      const shape = [PLAN.tensorBytes];
      const entry = { dtype: "U8", shape, data_offsets: [0, PLAN.tensorBytes] };
      assert.deepEqual(header, { [name]: entry });
      assert.isTrue(single.subarray(headerBytes).equals(tensorBytes(PLAN, 1, 2)));

      const done = doneOf(await lab.run(["pull", `${url}/llama/*/layers.*.1.weight`, "-o", many]));
      assert.equal(done.tensors, 3);
      const files = await filesOf(many);
      const names = [0, 1, 2].map((n) => `${tensorName(n, 1)}.safetensors`);
      assert.sameMembers([...files.keys()], names);
      for (const n of [0, 1, 2]) {
        const bytes = Buffer.from(files.get(names[n] as string) as Uint8Array);
        assert.isTrue(bytes.subarray(-PLAN.tensorBytes).equals(tensorBytes(PLAN, n, 1)));
      }
    }));

  test("headrace pull: -o is a file for one file, a folder for several, and for models theirs", () =>
    withLab(async (lab) => {
      const small = { ...PLAN, tensorBytes: 1000 };
      const [a, b] = [await lab.model("a", small), await lab.model("b", { ...small, seed: 2 })];
      const { url } = await lab.serve([a, b]);
      const shard = `${shardName(small, 0)}.safetensors`;
      const pull = async (what: string, ...more: string[]) =>
        doneOf(await lab.run(["pull", `${url}/${what}`, ...more], { cwd: lab.path("cwd") }));
      await mkdir(lab.path("cwd", "there"), { recursive: true });
      await pull("a", "-o", "named");
      await assertSameFolder(lab.path("cwd", "named"), a);
      await pull("b");
      await assertSameFolder(lab.path("cwd", "b"), b);
      await pull("a/__files__/config.json", "-o", "deep/er/x.json");
      await assertSameFile(lab.path("cwd", "deep", "er", "x.json"), join(a, "config.json"));
      await pull("a/__files__/config.json", "-o", "there");
      await assertSameFile(lab.path("cwd", "there", "config.json"), join(a, "config.json"));
      await pull(`a/${shardName(small, 0)}`, "-o", "new/");
      await assertSameFile(lab.path("cwd", "new", shard), join(a, shard));
      await pull(`b/${shardName(small, 0)}`);
      await assertSameFile(lab.path("cwd", shard), join(b, shard));
      await pull("*", "-o", "all");
      await assertSameFolder(lab.path("cwd", "all", "a"), a);
      await assertSameFolder(lab.path("cwd", "all", "b"), b);
    }));

  test("headrace pull: an output that differs is refused, and replaced with --overwrite", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { url } = await lab.serve([source]);
      const out = lab.path("out");
      await mkdir(out);
      const name = `${shardName(PLAN, 1)}.safetensors`;
      const other = await readFile(join(source, name));
      const at = shardHeader(PLAN, 1).byteLength + PLAN.tensorBytes;
      other[at] = (other[at] as number) ^ 1; // one bit of the second tensor
      for (const found of [other, randomBytes(77, 5)]) {
        await writeFile(join(out, name), found);
        const exit = await lab.run(["pull", `${url}/llama`, "-o", out]);
        const { message, code } = errorOf(exit);
        assert.equal(code, "storage");
        assert.include(String(message), join(out, name));
        assert.match(String(message), /--overwrite/);
        assert.deepEqual(await finalNames(out), [name]);
        assert.deepEqual(new Uint8Array(await readFile(join(out, name))), new Uint8Array(found));
      }
      await writeFile(join(out, "mine.txt"), "not the model's");
      doneOf(await lab.run(["pull", `${url}/llama`, "-o", out, "--overwrite"]));
      assert.equal(await readFile(join(out, "mine.txt"), "utf8"), "not the model's");
      await writeFile(join(source, "mine.txt"), "not the model's");
      await assertSameFolder(out, source);
    }));

  test("headrace pull: what fails ends in one line that says so, and the exit code of its kind", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", { ...PLAN, tensorBytes: 1000 });
      const { url } = await lab.serve([source]);
      const fails = async (args: string[], code: number, kind: string, line: RegExp) => {
        const error = errorOf(await lab.run(args), code);
        assert.equal(error.code, kind);
        assert.match(String(error.message), line);
        const { stdout, stderr, ...exit } = await runHeadrace(args);
        assert.equal(exit.code, code);
        assert.equal(stdout, "");
        assert.match(stderr, /^headrace: [^\n]+\n(See headrace pull --help\n)?$/);
        assert.include(stderr, String(error.message));
      };
      const out = ["-o", lab.path("out")];
      await fails(["pull", `${url}/lama`, ...out], 1, "not_found", /Nothing matches lama/);
      await fails(["pull", `${url}/llama/x/y`, ...out], 1, "not_found", /llama\/x\/y/);
      await fails(["pull", "llama", ...out], 2, "usage", /"llama" is not the URL of a peer/);
      await fails(["pull", url, "--frobnicate"], 2, "usage", /Unknown option --frobnicate/);
      await fails(["pull", url, "--priority", "urgent"], 2, "usage", /"urgent" is not a priority/);
      await fails(["pull"], 2, "usage", /url/i);
      assert.isEmpty(await finalNames(lab.path("out")));
    }));

  test("headrace pull: piped, it draws no bar and writes no control characters", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { url } = await lab.serve([source]);
      const out = lab.path("out");
      const { code, stdout, stderr } = await runHeadrace(["pull", `${url}/llama`, "-o", out]);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^11 tensors, 13\.5 MB verified in [^\n]+\n$/);
      assert.include(stdout, out);
      assert.notMatch((stdout + stderr).replaceAll("\n", ""), /\p{Cc}/u);
    }));

  test("headrace ls: ends quietly when its reader has seen enough", () =>
    withLab(async (lab) => {
      const source = await lab.model("wide", { ...PLAN, shards: 1, tensors: 4000, tensorBytes: 8 });
      const { url } = await lab.serve([source]);
      const { program, args } = headraceProgram();
      const command = [program, ...args, "ls", url].map((word) => `'${word}'`).join(" ");
      for (const more of ["", " --json"]) {
        const script = `${command}${more} | head -1; echo "\${PIPESTATUS[0]}"`;
        const { stdout, stderr } = await promisify(execFile)("bash", ["-c", script]);
        assert.equal(stderr, "");
        const [line = "", code] = stdout.trimEnd().split("\n");
        assert.include(line, "wide/model-00001-of-00001/__metadata__");
        assert.equal(code, "0");
      }
    }));

  test("headrace pull: Ctrl-C ends it with 130 and nothing half under a final name; then it goes on", () =>
    withLab(async (lab) => {
      const plan = { ...PLAN, tensorBytes: 4 * MiB };
      const source = await lab.model("llama", plan);
      const { url } = await lab.serve([source]);
      const link = await lab.slowLink(url, 40 * MiB);
      const out = lab.path("out");
      for (const signal of ["SIGINT", "SIGTERM"] as const) {
        const pull = lab.start(["pull", `${link.url}/llama`, "-o", out]);
        await link.passed(link.passedBytes + 9 * MiB);
        pull.signal(signal);
        const error = errorOf(await pull.exit, 130);
        assert.include(error, { code: "interrupted", retryable: true });
        assert.isEmpty(await finalNames(out));
      }
      const done = doneOf(await lab.run(["pull", `${url}/llama`, "-o", out]));
      assert.isAbove(done.resumedBytes as number, 10 * MiB);
      assert.isBelow(done.wireBytes as number, modelBytes(plan) - 10 * MiB);
      await assertSameFolder(out, source);
    }));
};
