import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { assert } from "chai";
import { OutputLock } from "../../lib/checkpoint/lock.ts";
import { StorageError } from "../../lib/errors.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import { startChild } from "./child.ts";

const ID = "00000000-0000-4000-8000-000000000001";
const OTHER_ID = "00000000-0000-4000-8000-000000000002";

/** The number of a process that has just ended. */
async function endedPid(): Promise<number> {
  const child = spawn(process.execPath, ["--version"], { stdio: "ignore" });
  await new Promise((resolve) => child.once("close", resolve));
  return child.pid as number;
}

function writeHolder(path: string, holder: object): void {
  const whole = { pid: process.pid, host: hostname(), boot: "", start: "", id: ID, ...holder };
  writeFileSync(path, JSON.stringify(whole));
}

const holderOf = (path: string) =>
  JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;

export const lockSuite: Suite = ({ test }) => {
  test("lock: keeps out everybody else, in this process too, until it is released", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, ".lock");
      const lock = OutputLock.take(path);
      const pid = new RegExp(`${folder}.*process ${process.pid} is writing`);
      assert.throws(() => OutputLock.take(path), StorageError, pid);
      const child = startChild("lock_taker", []);
      try {
        await child.line();
        child.send(path);
        assert.match(await child.line(), pid);
        lock.release();
        lock.release();
        assert.isFalse(existsSync(path));
        child.send(path);
        assert.equal(await child.line(), "taken");
        const theirs = new RegExp(`process ${child.process.pid} is writing`);
        assert.throws(() => OutputLock.take(path), StorageError, theirs);
        lock.release(); // no longer ours to give back
        assert.equal(holderOf(path).pid, child.process.pid);
      } finally {
        await child.kill();
      }
      OutputLock.take(path).release(); // a killed process holds nothing
      assert.deepEqual(readdirSync(folder), []);
    }));

  test("lock: is taken over from a process that ended, or whose number another one has", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, ".lock");
      const stale: object[] = [{ pid: await endedPid() }];
      if (process.platform === "linux") stale.push({ start: "1" }, { boot: "an earlier boot" });
      else console.warn("SKIPPED on this system: reused process numbers and restarts are not told");
      for (const holder of stale) {
        writeHolder(path, holder);
        const lock = OutputLock.take(path);
        assert.notEqual(holderOf(path).id, ID);
        lock.check();
        lock.release();
        assert.deepEqual(readdirSync(folder), []);
      }
    }));

  test("lock: is taken over from a process that ended and only waits to be reaped", () =>
    withTempFolder(async (folder) => {
      if (process.platform !== "linux") {
        console.warn("SKIPPED on this system: processes that wait to be reaped are not told");
        return;
      }
      // The inner shell ends once its parent has become something that never asks for its exit code.
      const inner = 'until [ "$(cat /proc/$PPID/comm)" = sleep ]; do :; done';
      const parent = spawn("sh", ["-c", `sh -c '${inner}' & echo $!; exec sleep 600`], {
        stdio: ["ignore", "pipe", "ignore"],
      });
      try {
        const line = await new Promise<string>((resolve) => {
          parent.stdout.once("data", (bytes: Uint8Array) => resolve(bytes.toString()));
        });
        const pid = Number(line);
        while (!readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ")) {
          await new Promise((resolve) => setImmediate(resolve));
        }
        const path = join(folder, ".lock");
        writeHolder(path, { pid });
        OutputLock.take(path).release();
      } finally {
        parent.kill("SIGKILL");
      }
    }));

  test("lock: of another host is refused, saying what to do", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, ".lock");
      writeHolder(path, { host: "elsewhere", pid: await endedPid() });
      assert.throws(() => OutputLock.take(path), StorageError, /host elsewhere.*delete .*\.lock/);
    }));

  test("lock: one that cannot be read counts as stale only once it is old", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, ".lock");
      for (const text of ["", "{", "[]", "null", JSON.stringify({ pid: 1, id: "../../x" })]) {
        writeFileSync(path, text);
        assert.throws(() => OutputLock.take(path), StorageError, /try again in 10 seconds/);
        utimesSync(path, new Date(0), new Date(0));
        OutputLock.take(path).release();
        assert.deepEqual(readdirSync(folder), []);
      }
    }));

  test("lock: a taker that died in the middle of taking over is taken over itself", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, ".lock");
      const pid = await endedPid();
      writeHolder(path, { pid });
      writeHolder(join(folder, `.turn-${ID}`), { pid, id: OTHER_ID });
      OutputLock.take(path).release();
      assert.deepEqual(readdirSync(folder), []);
    }));

  test("lock: while a living taker has its turn, others are refused", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, ".lock");
      writeHolder(path, { pid: await endedPid() });
      writeHolder(join(folder, `.turn-${ID}`), { id: OTHER_ID });
      assert.throws(() => OutputLock.take(path), StorageError, /is writing/);
      assert.equal(holderOf(path).id, ID);
    }));

  test("lock: of processes racing for a stale lock exactly one gets it, every time", () =>
    withTempFolder(async (folder) => {
      const pid = await endedPid();
      const children = [0, 1, 2].map(() => startChild("lock_taker", []));
      try {
        for (const child of children) assert.equal(await child.line(), "ready");
        for (let round = 0; round < 100; round++) {
          const path = join(folder, String(round), ".lock");
          mkdirSync(dirname(path));
          writeHolder(path, { pid });
          for (const child of children) child.send(path);
          const answers = await Promise.all(children.map((child) => child.line()));
          const winner = children[answers.indexOf("taken")];
          assert.equal(answers.filter((line) => line === "taken").length, 1, answers.join("\n"));
          assert.equal(holderOf(path).pid, winner?.process.pid);
        }
      } finally {
        await Promise.all(children.map((child) => child.kill()));
      }
    }));

  test("lock: says so when its folder was deleted, whoever made it anew", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, ".lock");
      const lock = OutputLock.take(path);
      writeHolder(path, { id: OTHER_ID });
      assert.throws(() => lock.check(), StorageError, /deleted meanwhile/);
      lock.release();
      assert.equal(holderOf(path).id, OTHER_ID);
    }));
};
