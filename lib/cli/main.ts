#!/usr/bin/env node
import { stripVTControlCharacters } from "node:util";
import { type CommandDef, renderUsage } from "citty";
import { certCommand } from "./cert_command.ts";
import type { Command } from "./command.ts";
import { configCommand } from "./config_command.ts";
import { demoCommand } from "./demo_command.ts";
import { exitCodeOf, UsageError } from "./describe_error.ts";
import { lsCommand } from "./ls_command.ts";
import { pullCommand } from "./pull_command.ts";
import { pushCommand } from "./push_command.ts";
import { createReport } from "./report.ts";
import { serveCommand } from "./serve_command.ts";
import { statusCommand } from "./status_command.ts";
import { endWithReader } from "./stdout.ts";
import { printVersion } from "./version.ts";

const COMMANDS: Readonly<Record<string, Command>> = {
  serve: serveCommand,
  pull: pullCommand,
  push: pushCommand,
  ls: lsCommand,
  status: statusCommand,
  cert: certCommand,
  config: configCommand,
  demo: demoCommand,
};

const MAIN: CommandDef = {
  meta: {
    name: "headrace",
    description: "Moves tensors between machines: whole, resumable, in order of urgency",
  },
  subCommands: Object.fromEntries(
    Object.entries(COMMANDS).map(([name, command]) => [name, command.definition]),
  ),
};

async function main([verb, ...rest]: readonly string[]): Promise<void> {
  const command = verb === undefined ? undefined : COMMANDS[verb];
  if (verb === undefined || verb === "--help" || verb === "-h") {
    printHelp(await renderUsage(MAIN));
    if (verb === undefined) process.exitCode = 2;
    return;
  }
  if (verb === "--version" || verb === "-V") {
    printVersion(rest.includes("--json"));
    return;
  }
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
  process.stdout.write(`${isColoured ? text : stripVTControlCharacters(text)}\n`);
}

endWithReader();
await main(process.argv.slice(2));
