// Every runtime serves a model to every other, and to itself: who can, as a table.

import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { findRuntimes, type Runtime } from "./runtimes.ts";
import { root, run } from "./workspace.ts";

/** The runtimes that each must be able to talk to each. */
export const PAIRED_RUNTIMES: readonly string[] = ["node20", "node26", "deno", "bun"];

/** What a URL to listen on begins with, for each transport that all of them have. */
export const PAIRED_SCHEMES: readonly string[] = ["tcp", "ws"];

/** How long one pull may take before it counts as hanging. */
const PULL_LIMIT_MS = 60_000;

/** What came of one pairing. */
export interface Pairing {
  readonly server: string;
  readonly client: string;
  /** What went wrong, or `undefined` where every file arrived byte for byte. */
  readonly fault: string | undefined;
  readonly elapsedMs: number;
}

/**
 * The runtimes of {@linkcode PAIRED_RUNTIMES} that are here, and the names of those that are not.
 * Beside what the tests have, that may be the `node` of the search path.
 */
export async function findPaired(): Promise<{ found: Runtime[]; missing: string[] }> {
  const { found } = await findRuntimes();
  const { code, output } = await run("node", ["--version"], { timeoutMs: 30_000 });
  const version = output.trim().replace(/^v/, "");
  const name = `node${version.split(".")[0]}`;
  const candidates = [...found];
  if (code === 0) candidates.push({ kind: "node", name, version, command: "node" });
  const paired: Runtime[] = [];
  const missing: string[] = [];
  for (const wanted of PAIRED_RUNTIMES) {
    const runtime = candidates.find((one) => one.name === wanted);
    if (runtime) paired.push(runtime);
    else missing.push(wanted);
  }
  return { found: paired, missing };
}

/** The command line in a runtime: built for Node, from its sources elsewhere. */
function headrace({ kind }: Runtime): readonly string[] {
  if (kind === "node") return [join(root, "dist/lib/cli/main.js")];
  const main = join(root, "lib/cli/main.ts");
  return kind === "deno" ? ["run", "--allow-all", "--no-check", main] : [main];
}

interface Server {
  readonly url: string;
  readonly close: () => Promise<void>;
}

/** It ends with this process at the latest: its standard input is a pipe from here. */
async function serve(runtime: Runtime, folder: string, scheme: string): Promise<Server> {
  const listen = ["--listen", `${scheme}://127.0.0.1:0`];
  const args = ["serve", folder, ...listen, "--until-stdin-closes", "--json"];
  const child: ChildProcess = spawn(runtime.command, [...headrace(runtime), ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const { stdin, stdout } = child;
  if (!stdin || !stdout) throw new TypeError("The server was started without pipes");
  stdin.on("error", () => {});
  const exited = new Promise<void>((resolve) => {
    child.once("close", () => resolve()).once("error", () => resolve());
  });
  const listening = new Promise<string>((resolve, reject) => {
    createInterface({ input: stdout }).on("line", (line) => {
      const { event, urls } = JSON.parse(line);
      if (event === "listening") resolve(urls[0]);
    });
    void exited.then(() => reject(new Error(`${runtime.name} ended instead of listening`)));
  });
  const close = async () => {
    stdin.end();
    await exited;
  };
  return { url: await listening, close };
}

/** What sets two folders apart, or `undefined` where every file is the same byte for byte. */
async function differenceOf(wanted: string, found: string): Promise<string | undefined> {
  const names = (await readdir(wanted)).sort();
  const there = (await readdir(found)).sort();
  if (names.join() !== there.join()) return `wanted ${names.join(", ")}; found ${there.join(", ")}`;
  const differing = names.find(
    (name) => !readFileSync(join(wanted, name)).equals(readFileSync(join(found, name))),
  );
  return differing === undefined ? undefined : `${differing} differs`;
}

/**
 * Pulls the model in a folder from one runtime into each, one after the other.
 *
 * @param outputs A folder for what arrives.
 * @param scheme The transport, one of {@linkcode PAIRED_SCHEMES}.
 */
export async function pullFrom(
  server: Runtime,
  clients: readonly Runtime[],
  model: string,
  outputs: string,
  scheme: string,
): Promise<Pairing[]> {
  const pairings: Pairing[] = [];
  const { url, close } = await serve(server, model, scheme);
  try {
    for (const client of clients) {
      const output = join(outputs, `${server.name}-${client.name}`);
      const startMs = performance.now();
      const pulled = await run(
        client.command,
        [...headrace(client), "pull", `${url}/*`, "-o", output],
        { timeoutMs: PULL_LIMIT_MS },
      );
      const elapsedMs = performance.now() - startMs;
      const fault =
        pulled.code === 0
          ? await differenceOf(model, output)
          : `exit code ${pulled.code}: ${pulled.output.trim()}`;
      pairings.push({ server: server.name, client: client.name, fault, elapsedMs });
    }
  } finally {
    await close();
  }
  return pairings;
}

/** A row for each server, a column for each client. */
export function pairingTable(pairings: readonly Pairing[]): string {
  const names = [...new Set(pairings.map(({ client }) => client))];
  const row = (cells: readonly string[]) => cells.map((cell) => cell.padEnd(16)).join("");
  const lines = [row(["serves \\ pulls", ...names])];
  for (const server of new Set(pairings.map((one) => one.server))) {
    const cells = names.map((client) => {
      const pairing = pairings.find((one) => one.server === server && one.client === client);
      if (!pairing) return "-";
      return pairing.fault === undefined ? `same ${Math.round(pairing.elapsedMs)} ms` : "FAILED";
    });
    lines.push(row([server, ...cells]));
  }
  return lines.map((line) => line.trimEnd()).join("\n");
}
