import { fileURLToPath } from "node:url";

/** A program and its first arguments. */
export interface OwnCommand {
  readonly command: string;
  readonly args: readonly string[];
}

/** Starts this very command line once more, built or from its sources, under the same runtime. */
export function ownCommand(): OwnCommand {
  const main = new URL(import.meta.url.endsWith(".ts") ? "main.ts" : "main.js", import.meta.url);
  const script = main.protocol === "file:" ? fileURLToPath(main) : main.href;
  const flags = "Deno" in globalThis ? ["run", "--allow-all"] : process.execArgv;
  return { command: process.execPath, args: [...flags, script] };
}
