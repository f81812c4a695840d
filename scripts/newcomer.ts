// Follows docs/quick-start.md word for word, as somebody new would: in a fresh folder, in Node, Deno
// and Bun one after another. Fails where the guide and what happens differ, and tells how long it took.
//
//   node dist/scripts/newcomer.js [--clone] [--runtime node|deno|bun]
//
// With `--clone` the package is made as the guide says, in a fresh clone of what is committed; without,
// in this checkout, which is installed already.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { parseArgs } from "node:util";
import { fencesOf } from "./doc_blocks.ts";
import { findRuntimes, installRuntimes, type Runtime } from "./runtimes.ts";
import { readText, report, root, run, withScratchFolder } from "./workspace.ts";

const GUIDE = readText("docs/quick-start.md");
const TOO_LONG_MS = 180_000;
/** By then a tensor has moved, or the guide is too long. */
const MOST_SECONDS = 300;

/** The one fence of the guide that holds this text. */
function fence(part: string): string {
  const found = fencesOf(GUIDE).filter((text) => text.includes(part));
  if (found.length !== 1) throw new Error(`The guide has ${found.length} blocks with "${part}"`);
  return found[0] as string;
}

/** The words that the guide's table gives for `headrace` in this runtime. */
function wordsOf(kind: string): string {
  const name = new RegExp(`^\\| ${kind} \\| \`(.*) --version\` \\|$`, "im");
  const words = name.exec(GUIDE)?.[1];
  if (!words) throw new Error(`The guide does not say how headrace is called in ${kind}`);
  return words;
}

/** The lines of a block that are meant for this runtime: some end with the names of those they are for. */
function linesFor(kind: string, text: string): string {
  const isMeant = (line: string): boolean => {
    const names = /#\s*(.*)$/.exec(line)?.[1] ?? kind;
    return names.toLowerCase().includes(kind);
  };
  return text.split("\n").filter(isMeant).join("\n");
}

/** What was done, and how long it took. */
interface Step {
  readonly name: string;
  readonly seconds: number;
}

async function timed(name: string, work: () => Promise<void>): Promise<Step> {
  const started = performance.now();
  await work();
  const seconds = (performance.now() - started) / 1000;
  console.log(`  ${name.padEnd(28)} ${seconds.toFixed(1).padStart(6)} s`);
  return { name, seconds };
}

/** Somebody at a terminal, in a folder, with one runtime. */
class Newcomer {
  readonly steps: Step[];
  readonly #runtime: Runtime;
  readonly #env: Record<string, string>;
  #folder: string;

  constructor(runtime: Runtime, folder: string, made: Step) {
    this.steps = [made];
    this.#runtime = runtime;
    this.#folder = folder;
    const programs = join(folder, "programs");
    mkdirSync(programs);
    symlinkSync(runtime.command, join(programs, runtime.kind));
    this.#env = { PATH: [programs, process.env.PATH].join(delimiter) };
  }

  /** Does one step, and notes how long it takes. */
  async step(name: string, work: () => Promise<void>): Promise<void> {
    this.steps.push(await timed(name, work));
  }

  /** From here on in this folder. */
  enter(folder: string): void {
    this.#folder = join(this.#folder, folder);
  }

  save(name: string, text: string): void {
    writeFileSync(join(this.#folder, name), text);
  }

  /** Types this, and waits for its end. */
  async type(text: string, expected = ""): Promise<void> {
    const { code, output } = await run("bash", ["-ec", this.#script(text)], {
      cwd: this.#folder,
      env: this.#env,
      timeoutMs: TOO_LONG_MS,
    });
    if (code === 0 && output.includes(expected)) return;
    throw new Error(`"${text}" ended with ${code}, expected "${expected}", said:\n${output}`);
  }

  /** Runs a program of the guide. */
  runProgram(file: string, expected = ""): Promise<void> {
    const { kind } = this.#runtime;
    return this.type(`${kind}${kind === "deno" ? " run -A" : ""} ${file}`, expected);
  }

  /** Types this in another terminal, and lets it go on once it has said what it should. */
  async leave(text: string, expected: string): Promise<ChildProcess> {
    const child = spawn("bash", ["-ec", this.#script(text)], {
      cwd: this.#folder,
      env: { ...process.env, NO_COLOR: "1", ...this.#env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    let said = "";
    await new Promise<void>((resolve, reject) => {
      const hear = (heard: string) => {
        said += heard;
        if (said.includes(expected)) resolve();
      };
      child.stdout?.setEncoding("utf8").on("data", hear);
      child.stderr?.setEncoding("utf8").on("data", hear);
      child.on("error", reject);
      child.on("close", () => reject(new Error(`"${text}" ended, and said:\n${said}`)));
    });
    return child;
  }

  #script(text: string): string {
    return `headrace() { ${wordsOf(this.#runtime.kind)} "$@"; }\n${text}`;
  }
}

/** Ends what was left running in another terminal. */
async function end(child: ChildProcess): Promise<void> {
  const closed = new Promise((resolve) => child.once("close", resolve));
  if (child.pid) process.kill(-child.pid, "SIGTERM");
  await closed;
}

/** From nothing to the end of the guide. */
async function follow(newcomer: Newcomer, { kind }: Runtime): Promise<void> {
  await newcomer.step("1 install", async () => {
    await newcomer.type(linesFor(kind, fence("mkdir try-headrace")));
    newcomer.enter("try-headrace");
    await newcomer.type("headrace --version", "headrace ");
  });
  await newcomer.step("2 have some weights", async () => {
    newcomer.save("weights.js", fence("writeSafetensors"));
    await newcomer.runProgram("weights.js");
  });
  let server: ChildProcess | undefined;
  const [pull = "", compare = ""] = fence("cmp tiny").split("\n");
  try {
    await newcomer.step("3 serve, look", async () => {
      const serve = fence("headrace serve tiny");
      server = await newcomer.leave(serve, "Serving tiny on tcp://127.0.0.1:12094");
      await newcomer.type("headrace ls tcp://127.0.0.1:12094", fence("tiny/model/__metadata__"));
    });
    await newcomer.step("3 pull", () => newcomer.type(`${pull}\n${compare}`, "same\n"));
    await newcomer.step("3 pull again, and one", async () => {
      await newcomer.type(pull, "67.1 MB were there already");
      await newcomer.type(fence("-o w.safetensors"), "tiny/model/w ");
    });
  } finally {
    if (server) await end(server);
  }
  const [take = "", push = ""] = fence("headrace push").split("\n");
  await newcomer.step("5 push", async () => {
    const taker = await newcomer.leave(take, "tcp://127.0.0.1:12099");
    await newcomer.type(push).finally(() => end(taker));
    await newcomer.type("cmp tiny/model.safetensors received/tiny/model.safetensors");
  });
  await newcomer.step("6 the same in code", async () => {
    newcomer.save("app.js", fence("peer.streamTensor(address"));
    await newcomer.runProgram("app.js", "24 bytes verified");
    newcomer.save("files.js", fence("SafetensorsStore.open"));
    await newcomer.runProgram("files.js", "on tcp://127.0.0.1:");
  });
}

/** Makes the package as the guide says, in this folder. */
async function makePackage(checkout: string, isCloned: boolean): Promise<void> {
  const must = async (command: string, cwd: string): Promise<void> => {
    const { code, output } = await run("bash", ["-ec", command], { cwd, timeoutMs: TOO_LONG_MS });
    if (code !== 0) throw new Error(`"${command}" failed:\n${output}`);
  };
  if (!isCloned) return must(`npm pack --pack-destination "${checkout}"`, root);
  await must(`git clone --quiet "${root}" .`, checkout);
  return must(fence("npm pack"), checkout);
}

/** @param made How long the package took, which is in `checkout` now. */
async function tryIn(runtime: Runtime, checkout: string, made: Step): Promise<string[]> {
  console.log(`${runtime.name} ${runtime.version}`);
  return withScratchFolder(async (folder) => {
    // The guide's path to the package leads there.
    symlinkSync(checkout, join(folder, "headrace"));
    const newcomer = new Newcomer(runtime, folder, made);
    try {
      await follow(newcomer, runtime);
    } catch (error) {
      return [`${runtime.name}: ${error instanceof Error ? error.message : error}`];
    }
    const secondsTo = (name: string): number => {
      const last = newcomer.steps.findIndex((step) => step.name === name);
      return newcomer.steps.slice(0, last + 1).reduce((sum, { seconds }) => sum + seconds, 0);
    };
    const moved = secondsTo("3 pull");
    const all = secondsTo("6 the same in code");
    console.log(`  a tensor moved after ${moved.toFixed(1)} s, all done after ${all.toFixed(1)} s`);
    return moved < MOST_SECONDS ? [] : [`${runtime.name}: a tensor moved after ${moved} s`];
  });
}

const { values } = parseArgs({
  options: { clone: { type: "boolean", default: false }, runtime: { type: "string" } },
});
await installRuntimes();
const { found } = await findRuntimes();
const wanted = ["node", "deno", "bun"].flatMap((kind) => {
  // Where two Nodes run, the first stands for both.
  const runtime = found.find((one) => one.kind === kind);
  return runtime && (values.runtime ?? kind) === kind ? [runtime] : [];
});
const problems: string[] = wanted.length === 0 ? ["no runtime to try it in"] : [];
await withScratchFolder(async (folder) => {
  const checkout = join(folder, "headrace");
  mkdirSync(checkout);
  const made = await timed("0 make the package", () => makePackage(checkout, values.clone));
  for (const runtime of wanted) problems.push(...(await tryIn(runtime, checkout, made)));
});
const names = wanted.map(({ name }) => name).join(", ");
report("quick start", problems, `followed word for word in ${names}`);
