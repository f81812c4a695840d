// Starts a real workerd with one worker in it.
import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Readable } from "node:stream";

/** A worker that answers. */
export interface RunningWorkerd {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly process: ChildProcess;
  close(): Promise<void>;
}

/** The newest that the workerd at hand knows. */
const COMPATIBILITY_DATE = "2026-07-01";

/** What a worker finds in its environment. */
export interface WorkerdOptions {
  /** The class of a Durable Object that it has; bound as `OBJECTS`. */
  readonly objectClass?: string;
  /** Texts by their names. */
  readonly bindings?: Readonly<Record<string, string>>;
}

function configOf(worker: string, { objectClass, bindings = {} }: WorkerdOptions): string {
  const bound = Object.entries(bindings).map(
    ([name, text]) => `(name = ${JSON.stringify(name)}, text = ${JSON.stringify(text)})`,
  );
  let objects = "";
  if (objectClass !== undefined) {
    bound.push(`(name = "OBJECTS", durableObjectNamespace = "${objectClass}")`);
    objects = `durableObjectNamespaces = [(className = "${objectClass}", uniqueKey = "objects")],
  durableObjectStorage = (inMemory = void),`;
  }
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "internet", network = (allow = ["public", "private", "local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [(name = "main.js", esModule = embed "${worker}")],
  compatibilityDate = "${COMPATIBILITY_DATE}",
  compatibilityFlags = ["nodejs_compat"],
  ${objects}
  bindings = [${bound.join(", ")}],
);
`;
}

/**
 * Starts it with the module in `folder`.
 *
 * @param command The program.
 * @param worker The file of the bundled worker, in `folder`.
 */
export async function startWorkerd(
  command: string,
  folder: string,
  worker: string,
  options: WorkerdOptions = {},
): Promise<RunningWorkerd> {
  const config = join(folder, "config.capnp");
  writeFileSync(config, configOf(basename(worker), options));
  const child = spawn(command, ["serve", config, "--control-fd=3"], {
    stdio: ["ignore", "inherit", "inherit", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const control = child.stdio[3] as Readable;
  const port = await new Promise<string>((resolve, reject) => {
    let said = "";
    control.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      const found = /"port":(\d+)/.exec(said)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once("error", reject);
    void ended.then(() => reject(new Error(`workerd ended before it listened: ${said}`)));
  });
  return {
    url: `http://127.0.0.1:${port}`,
    process: child,
    close: () => {
      child.kill();
      return ended;
    },
  };
}
