// A folder, servers, pulls and slow links for one test; whatever happens, nothing of it stays behind.
import { join } from "node:path";
import { assert } from "chai";
import { SlowLink } from "../../../lib/cli/slow_link.ts";
import { withTempFolder } from "../../formats/temp_folder.ts";
import { headraceProgram } from "../run_headrace.ts";
import {
  type Exit,
  HeadraceProcess,
  type HeadraceProgram,
  type JsonEvent,
  type ProcessOptions,
} from "./headrace_process.ts";
import { type ModelPlan, writeModel } from "./model.ts";

/** How the lab starts a command. */
export interface LabOptions extends ProcessOptions {
  /** Another runtime's `headrace`; default: this one's. */
  readonly program?: HeadraceProgram;
}

/** A server that listens. */
export interface LabServer {
  readonly url: string;
  /** All that it listens on. */
  readonly urls: readonly string[];
  readonly process: HeadraceProcess;
}

/** What a test works with. */
export class Lab {
  readonly folder: string;
  readonly #processes: HeadraceProcess[] = [];
  readonly #links: SlowLink[] = [];

  constructor(folder: string) {
    this.folder = folder;
  }

  path(...names: readonly string[]): string {
    return join(this.folder, ...names);
  }

  /** Writes a model into a folder of this name. */
  async model(name: string, plan: ModelPlan): Promise<string> {
    const folder = this.path(name);
    await writeModel(folder, plan);
    return folder;
  }

  /** Starts a command, with `--json`. */
  start(args: readonly string[], options: LabOptions = {}): HeadraceProcess {
    const { program = headraceProgram(), ...rest } = options;
    const started = new HeadraceProcess(program, args, rest);
    this.#processes.push(started);
    return started;
  }

  /** Runs a command, with `--json`, to its end. */
  run(args: readonly string[], options: LabOptions = {}): Promise<Exit> {
    return this.start(args, options).exit;
  }

  /** Serves on a port that is free, or on the one that `--listen` names. */
  async serve(args: readonly string[], options: LabOptions = {}): Promise<LabServer> {
    const listen = args.includes("--listen") ? [] : ["--listen", "tcp://127.0.0.1:0"];
    const server = this.start(
      ["serve", ...args, ...listen, "--until-stdin-closes", "--log-level", "info"],
      options,
    );
    const { urls } = await server.event("listening");
    return { url: (urls as string[])[0] as string, urls: urls as string[], process: server };
  }

  /** A link of known rate to a server. */
  async slowLink(serverUrl: string, bytesPerSecond: number): Promise<SlowLink> {
    const link = await SlowLink.open(serverUrl, bytesPerSecond);
    this.#links.push(link);
    return link;
  }

  async close(): Promise<void> {
    await Promise.all(this.#processes.map((one) => one.kill()));
    await Promise.all(this.#links.map((link) => link.close()));
  }
}

/** Runs `body` with a lab of its own. */
export function withLab(body: (lab: Lab) => Promise<void>): Promise<void> {
  return withTempFolder(async (folder) => {
    const lab = new Lab(folder);
    try {
      await body(lab);
    } finally {
      await lab.close();
    }
  });
}

/** The `done` event of a command that ended well, which is the last it says. */
export function doneOf(exit: Exit): JsonEvent {
  assert.equal(exit.code, 0, `${exit.stdout}${exit.stderr}`);
  const last = exit.events.at(-1);
  assert.equal(last?.event, "done", exit.stdout);
  return last as JsonEvent;
}

/** The `error` event of a command that failed, which is the last it says. */
export function errorOf(exit: Exit, code = 1): JsonEvent {
  assert.equal(exit.code, code, `${exit.stdout}${exit.stderr}`);
  const last = exit.events.at(-1);
  assert.equal(last?.event, "error", exit.stdout);
  assert.match(String(last?.message), /^[^\n]+$/);
  assert.isBoolean(last?.retryable);
  return last as JsonEvent;
}
