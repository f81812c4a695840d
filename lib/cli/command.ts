import { type ArgDef, type ArgsDef, type CommandDef, type ParsedArgs, parseArgs } from "citty";
import { UsageError } from "./describe_error.ts";

/** A verb of the command line, ready to run. */
export interface Command {
  /** What citty shows as help. */
  readonly definition: CommandDef;
  /** @throws {UsageError} for arguments that are not the verb's. */
  run(rawArgs: readonly string[]): Promise<void>;
}

/** Describes a verb; its arguments are checked strictly before it runs. */
export function defineVerb<const T extends ArgsDef>(verb: {
  readonly name: string;
  readonly description: string;
  readonly args: T;
  /** How many words beside options it takes; default: its positional arguments. */
  readonly mostWords?: number;
  readonly run: (args: ParsedArgs<T>, rawArgs: readonly string[]) => Promise<void>;
}): Command {
  const { name, description, args } = verb;
  return {
    definition: { meta: { name, description }, args },
    run: (rawArgs) => {
      const parsed = parseStrictly(rawArgs, args, verb.mostWords);
      return verb.run(parsed as ParsedArgs<T>, rawArgs);
    },
  };
}

function parseStrictly(
  rawArgs: readonly string[],
  args: ArgsDef,
  mostWords: number | undefined,
): ParsedArgs {
  checkOptions(rawArgs, args);
  let parsed: ParsedArgs;
  try {
    parsed = parseArgs([...rawArgs], args);
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const positional = Object.values(args).filter((arg) => arg.type === "positional").length;
  const most = mostWords ?? positional;
  if (parsed._.length > most) {
    throw new UsageError(`"${parsed._[most]}" is one word too many`);
  }
  return parsed;
}

/** The parser under citty takes any option; a misspelt one must not be passed over. */
function checkOptions(rawArgs: readonly string[], args: ArgsDef): void {
  const byName = new Map<string, ArgDef>();
  for (const [name, arg] of Object.entries(args)) {
    if (arg.type === "positional") continue;
    const aliases = "alias" in arg && arg.alias !== undefined ? [arg.alias].flat() : [];
    for (const one of [name, ...aliases]) byName.set(one, arg);
  }
  for (let at = 0; at < rawArgs.length; at++) {
    const raw = rawArgs[at] as string;
    if (raw === "--") return;
    if (!raw.startsWith("-") || raw === "-") continue;
    const [flag = "", value] = raw.split(/=(.*)/s);
    const arg = byName.get(flag.replace(/^--?/, ""));
    const isSpelt = arg && (flag.startsWith("--") ? flag.length > 3 : flag.length === 2);
    if (!isSpelt) throw new UsageError(`Unknown option ${flag}${nearest(flag, byName.keys())}`);
    if (arg.type === "boolean" || value !== undefined) continue;
    const next = rawArgs[++at];
    if (next === undefined || /^-./.test(next)) throw new UsageError(`${flag} needs a value`);
  }
}

function nearest(flag: string, names: Iterable<string>): string {
  const letters = flag.replace(/^-+/, "");
  for (const name of names) {
    if (letters.length > 1 && (name.startsWith(letters) || letters.startsWith(name))) {
      return name.length > 1 ? `; did you mean --${name}?` : "";
    }
  }
  return "";
}

/** Every value that an option was given, in order; the parser under citty keeps only the last. */
export function valuesOf(rawArgs: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (const [at, raw] of rawArgs.entries()) {
    if (raw === "--") break;
    if (raw === `--${name}`) values.push(rawArgs[at + 1] as string);
    else if (raw.startsWith(`--${name}=`)) values.push(raw.slice(name.length + 3));
  }
  return values;
}
