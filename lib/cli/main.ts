#!/usr/bin/env node
import { stripVTControlCharacters } from "node:util";
import { type CommandDef, renderUsage } from "citty";
import type { Command } from "./command.ts";
import { exitCodeOf, UsageError } from "./describe_error.ts";
import { createReport } from "./report.ts";
import { flushOutput, print, tendOutput } from "./stdout.ts";
import { printVersion } from "./version.ts";

/** What one verb needs, another does not wait for. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import("./serve_command.ts")).serveCommand,
  pull: async () => (await import("./pull_command.ts")).pullCommand,
  push: async () => (await import("./push_command.ts")).pushCommand,
  ls: async () => (await import("./ls_command.ts")).lsCommand,
  status: async () => (await import("./status_command.ts")).statusCommand,
  cert: async () => (await import("./cert_command.ts")).certCommand,
  config: async () => (await import("./config_command.ts")).configCommand,
  demo: async () => (await import("./demo_command.ts")).demoCommand,
};

/** Those that do nothing but print, and may go on printing for long. */
const PRINTING: ReadonlySet<string | undefined> = new Set(["ls", "status", "config"]);

const MAIN: CommandDef = {
  meta: {
    name: "headrace",
    description: "Moves tensors between machines: whole, resumable, in order of urgency",
  },
  subCommands: Object.fromEntries(
    Object.entries(COMMANDS).map(([name, load]) => [name, async () => (await load()).definition]),
  ),
};

async function main([verb, ...rest]: readonly string[]): Promise<void> {
  if (verb === undefined || verb === "--help" || verb === "-h") {
    printHelp(await renderUsage(MAIN));
    if (verb === undefined) process.exitCode = 2;
    return;
  }
  if (verb === "--version" || verb === "-V") {
    printVersion(rest.includes("--json"));
    return;
  }
  const command = await (Object.hasOwn(COMMANDS, verb) ? COMMANDS[verb]?.() : undefined);
  if (command && (rest.includes("--help") || rest.includes("-h"))) {
    printHelp(await renderUsage(command.definition, MAIN));
    return;
  }
  try {
    if (!command) throw new UsageError(`Unknown command "${verb}"`);
    await command.run(rest);
  } catch (error) {
    createReport(rest.includes("--json")).failure(error);
    if (error instanceof UsageError && !rest.includes("--json")) {
      process.stderr.write(`See headrace ${command ? `${verb} ` : ""}--help\n`);
    }
    process.exitCode = exitCodeOf(error);
  }
}

/** The renderer colours everywhere; only a terminal wants that. */
function printHelp(text: string): void {
  const isColoured = process.stdout.isTTY && !process.env.NO_COLOR;
  print(`${isColoured ? text : stripVTControlCharacters(text)}\n`);
}

const words = process.argv.slice(2);
tendOutput(PRINTING.has(words[0]));
await main(words);
// Of a server that has said goodbye nothing is left to do, whoever still holds a connection to it.
if (words[0] === "serve") {
  await flushOutput();
  process.exit(process.exitCode ?? 0);
}
