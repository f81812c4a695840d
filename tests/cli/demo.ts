import { type ChildProcess, spawn } from "node:child_process";
import { readdir } from "node:fs/promises";
import process from "node:process";
import { createInterface } from "node:readline";
import { assert } from "chai";
import { ownCommand } from "../../lib/cli/own_command.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";

type Event = Readonly<Record<string, unknown>>;

interface DemoRun {
  readonly child: ChildProcess;
  readonly events: readonly Event[];
  /** Fulfils when the demo and its servers, who hold its standard error too, have ended. */
  readonly code: Promise<number | null>;
}

/** Runs the demo with `tempFolder` as the system's folder for temporary files. */
function startDemo(tempFolder: string, onEvent: (event: Event) => void = () => {}): DemoRun {
  const { command, args } = ownCommand();
  const child = spawn(command, [...args, "demo", "--json"], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, TMPDIR: tempFolder, TEMP: tempFolder },
  });
  const events: Event[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    const event: Event = JSON.parse(line);
    events.push(event);
    onEvent(event);
  });
  child.stderr.resume();
  const code = new Promise<number | null>((resolve, reject) => {
    child.once("close", resolve).once("error", reject);
  });
  return { child, events, code };
}

export const demoSuite: Suite = ({ test }) => {
  test("demo: moves, kills, resumes and verifies real weights, and leaves nothing behind", () =>
    withTempFolder(async (folder) => {
      const { events, code } = startDemo(folder);
      assert.equal(await code, 0);
      const done = events.at(-1);
      assert.include(done, { event: "done", verified: true });
      const pulled = events.filter(({ event }) => event === "pulled");
      assert.deepEqual(
        pulled.map(({ leg, verified }) => [leg, verified]),
        [
          ["fullSpeed", true],
          ["resumed", true],
          ["uncompressed", true],
          ["compressed", true],
        ],
      );
      const killed = events.find(({ event }) => event === "killed");
      const [bytes, resumedBytes] = [Number(done?.bytes), Number(done?.resumedBytes)];
      const sentBytes = Number(killed?.sentBytes) + Number(pulled[1]?.sentBytes);
      assert.isAbove(resumedBytes, 0);
      assert.isBelow(sentBytes, bytes + 16 * 1024 * 1024);
      // Whether compressing pays is the machine's and the moment's; what is told of it must be so.
      const [raw, deflated] = [Number(pulled[2]?.sentBytes), Number(pulled[3]?.sentBytes)];
      assert.equal(done?.savedBytes, raw - deflated);
      assert.deepEqual(await readdir(folder), []);
    }));

  for (const [signal, step] of [
    ["SIGINT", "built"],
    ["SIGTERM", "progress"],
    ["SIGINT", "killed"],
  ] as const) {
    test(`demo: ${signal} after ${step} leaves no process and no file behind`, () =>
      withTempFolder(async (folder) => {
        let isSent = false;
        const { child, events, code } = startDemo(folder, ({ event }) => {
          if (event !== step || isSent) return;
          isSent = true;
          // Under Deno a child that was sent a signal by `kill()` counts as ended by it, whatever it did.
          process.kill(child.pid as number, signal);
        });
        assert.equal(await code, 130);
        assert.include(events.at(-1), { event: "error", code: "interrupted" });
        assert.deepEqual(await readdir(folder), []);
      }));
  }

  test("demo: killed itself, it takes its server along", () =>
    withTempFolder(async (folder) => {
      const { child, events, code } = startDemo(folder, ({ event }) => {
        if (event === "progress") child.kill("SIGKILL");
      });
      // The server holds standard error as well: this does not settle before it has ended.
      assert.notEqual(await code, 0);
      assert.isTrue(events.some(({ event }) => event === "serving"));
    }));
};
