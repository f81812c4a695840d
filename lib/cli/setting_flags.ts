import type { SettingFlag } from "../config/read_flags.ts";
import type { SettingKey } from "../config/setting_keys.ts";
import { valuesOf } from "./command.ts";
import { UsageError } from "./describe_error.ts";

/** The settings that have a flag of their own, by its name. */
const OWN_FLAGS: readonly (readonly [flag: string, key: SettingKey])[] = [
  ["log-level", "log_level"],
  ["token-file", "token_file"],
  ["ca", "ca_file"],
  ["pin", "pin_sha256"],
  ["cert", "cert_file"],
  ["key", "key_file"],
];

/**
 * The settings that a command line gives: by `--set KEY=VALUE`, or by flags of their own, which
 * win over that.
 *
 * @throws {UsageError} for a `--set` without `=`.
 */
export function settingFlags(rawArgs: readonly string[]): SettingFlag[] {
  const set = valuesOf(rawArgs, "set").map((assignment) => {
    const [key = "", text] = assignment.split(/=(.*)/s);
    if (text === undefined) {
      throw new UsageError(`--set needs KEY=VALUE, found "${assignment}"`);
    }
    return { flag: "--set", key, text };
  });
  const own = OWN_FLAGS.flatMap(([name, key]) =>
    valuesOf(rawArgs, name).map((text) => ({ flag: `--${name}`, key, text })),
  );
  return [...set, ...own];
}
