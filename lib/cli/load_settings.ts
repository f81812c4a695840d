import { createReadStream } from "node:fs";
import type { SettingFlag } from "../config/read_flags.ts";
import { type ResolvedSettings, resolveSettings } from "../config/resolve_settings.ts";
import { ConfigError } from "../errors.ts";

/** Far more than any cluster file; a model given by mistake is not read. */
const MAX_FILE_BYTES = 1024 * 1024;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "no permission to read it",
  EPERM: "no permission to read it",
  EISDIR: "it is a folder",
};

/**
 * The settings in force: from the command line, the environment, the file that `--config` or else
 * `HEADRACE_CONFIG` names, and the defaults.
 *
 * @throws {ConfigError} for a file that cannot be read, and for what is not accepted.
 */
export async function loadSettings(
  flags: readonly SettingFlag[],
  config: string | undefined = process.env.HEADRACE_CONFIG || undefined,
): Promise<ResolvedSettings> {
  const file = config === undefined ? undefined : { name: config, text: await readText(config) };
  return withToken(resolveSettings({ file, environment: process.env, flags }));
}

/** The token itself in the environment takes the place of a file that is named there or in a file. */
function withToken(resolved: ResolvedSettings): ResolvedSettings {
  const { settings, origins } = resolved;
  const isFlag = origins.token_file.origin.startsWith("option");
  if (isFlag || process.env.HEADRACE_TOKEN === undefined) return resolved;
  const tokenFile = { value: undefined, origin: "environment HEADRACE_TOKEN" };
  return {
    ...resolved,
    settings: { ...settings, tokenFile: undefined },
    origins: { ...origins, token_file: tokenFile },
  };
}

async function readText(path: string): Promise<string> {
  const bytes = await readBytes(path);
  if (bytes.byteLength > MAX_FILE_BYTES) {
    throw new ConfigError(`${path} is no settings file: it has more than ${MAX_FILE_BYTES} bytes`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ConfigError(`${path} is no settings file: its text is not UTF-8`, { cause });
  }
}

async function readBytes(path: string): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  try {
    // `end` is inclusive: one byte more than is allowed shows that there is more.
    for await (const piece of createReadStream(path, { end: MAX_FILE_BYTES })) pieces.push(piece);
  } catch (cause) {
    const { code = "", message } = cause as NodeJS.ErrnoException;
    const reason = REASONS[code] ?? message;
    throw new ConfigError(`Cannot read the settings file ${path}: ${reason}`, { cause });
  }
  return Buffer.concat(pieces);
}
