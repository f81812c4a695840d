// Whoever reads what a command prints may leave before the command has done its work.
import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { assert } from "chai";
import type { Suite } from "../harness.ts";
import { cleanEnvironment, headraceProgram } from "./run_headrace.ts";
import { doneOf, type Lab, withLab } from "./support/lab.ts";
import { assertSameFolder, type ModelPlan } from "./support/model.ts";

const PLAN: ModelPlan = { shards: 1, tensors: 4, tensorBytes: 2_000_000, seed: 3 };

/** Runs a command as a shell does, with the rest of its line; gives its exit code and what both outputs hold. */
async function shell(words: readonly string[], rest: string) {
  const { program, args } = headraceProgram();
  const command = [program, ...args, ...words].map((word) => `'${word}'`).join(" ");
  const script = `${command} ${rest}; echo "code \${PIPESTATUS[0]}" >&2`;
  const env = cleanEnvironment();
  const { stdout, stderr } = await promisify(execFile)("bash", ["-c", script], { env });
  return { stdout, stderr, code: Number(/code (\d+)\n$/.exec(stderr)?.[1]) };
}

/** A model at the end of a link so slow that a pull has something to tell meanwhile. */
async function slowModel(lab: Lab) {
  const source = await lab.model("llama", PLAN);
  const { url } = await lab.serve([source]);
  const link = await lab.slowLink(url, 6_000_000);
  return { source, url: `${link.url}/llama`, out: lab.path("out") };
}

export const lostOutputSuite: Suite = ({ test }) => {
  test("lost output: a pull goes on without its reader, and says by its code that all is there", () =>
    withLab(async (lab) => {
      const { source, url, out } = await slowModel(lab);
      const { stdout, stderr, code } = await shell(["pull", url, "-o", out, "--json"], "| head -1");
      assert.lengthOf(stdout.trimEnd().split("\n"), 1);
      assert.equal(stderr, "code 0\n");
      assert.equal(code, 0);
      await assertSameFolder(out, source);
    }));

  test("lost output: a server goes on without its reader, until it is told to end", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const { program, args } = headraceProgram();
      const words = ["serve", source, "--listen", "tcp://127.0.0.1:0", "--until-stdin-closes"];
      const command = [program, ...args, ...words, "--json"].map((word) => `'${word}'`).join(" ");
      const script = `${command} | head -1; echo "code \${PIPESTATUS[0]}"`;
      const child = spawn("bash", ["-c", script], { env: cleanEnvironment() });
      try {
        const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
        const { urls } = JSON.parse((await lines.next()).value as string);
        for (const out of ["one", "two"]) {
          doneOf(await lab.run(["pull", `${urls[0]}/llama`, "-o", lab.path(out)]));
          await assertSameFolder(lab.path(out), source);
        }
        child.stdin.end();
        assert.equal((await lines.next()).value, "code 0");
      } finally {
        child.stdin.end();
      }
    }));

  test("lost output: a pull goes on without a reader of its logs", () =>
    withLab(async (lab) => {
      const { source, url, out } = await slowModel(lab);
      const words = ["pull", url, "-o", out, "--log-level", "debug"];
      const { code } = await shell(words, `2>&1 >'${lab.path("log")}' | head -c1 >'/dev/null'`);
      assert.equal(code, 0);
      await assertSameFolder(out, source);
    }));

  test("lost output: on a disk that is full it is a failure in one line, and the pull can go on", () =>
    withLab(async (lab) => {
      const { source, url, out } = await slowModel(lab);
      const words = ["pull", url, "-o", out, "--json"];
      const { stderr, code } = await shell(words, ">/dev/full");
      assert.match(
        stderr,
        /^headrace: Cannot write to standard output: the disk is full[^\n]*\ncode 1\n$/,
      );
      assert.equal(code, 1);
      const again = await shell(words, "");
      assert.equal(again.code, 0);
      await assertSameFolder(out, source);
    }));
};
