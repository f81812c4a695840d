// This module runs in every runtime.
import type { SettingValue } from "./layer.ts";
import { type Environment, readEnvironment } from "./read_environment.ts";
import { readFile } from "./read_file.ts";
import { readFlags, type SettingFlag } from "./read_flags.ts";
import { readOptions, type SettingsOptions } from "./read_options.ts";
import { SETTING_KEYS, type SettingKey, settingKeys } from "./setting_keys.ts";
import { DEFAULT_SETTINGS, type Settings } from "./settings.ts";

/** Where settings may come from; what is left out says nothing. */
export interface SettingsInputs {
  /** A cluster file: its name for messages, and its text (JSON). */
  readonly file?: { readonly name: string; readonly text: string } | undefined;
  /** Environment variables; an empty one counts as not set. */
  readonly environment?: Environment | undefined;
  /** What a command line says; of several for one key the last counts. */
  readonly flags?: readonly SettingFlag[] | undefined;
  /** What the caller wants itself. */
  readonly options?: SettingsOptions | undefined;
}

/** A setting in force, and who said so. */
export interface SettingOrigin {
  readonly value: SettingValue;
  /** `option`, `environment NAME`, `file NAME` or `default`. */
  readonly origin: string;
}

/** What {@linkcode resolveSettings} gives. */
export interface ResolvedSettings {
  readonly settings: Settings;
  /** Each setting by its key in the cluster file. */
  readonly origins: Readonly<Record<SettingKey, SettingOrigin>>;
  /** The top-level keys of the file that headrace has no use for. */
  readonly ignoredKeys: readonly string[];
}

/**
 * Works out every setting: an option (or a command line's flag) wins over the environment, that over the file, and that over
 * the default. Each origin is checked whole, also where another one wins.
 *
 * Sizes in the file, in the environment and in flags are bytes or text such as `"4MiB"`, durations are
 * milliseconds or text such as `"2s"`. The file is that of Ollama's cluster mode: the keys of its
 * other parts are passed over and returned as `ignoredKeys`.
 *
 * @throws {ConfigError} for text that is no JSON, with line and column; for a key in
 * `tensor_protocol` that is not known, or one elsewhere that is a known one misspelt; for a value
 * that is not accepted. Each is one line that names the key, the value and what is accepted.
 *
 * @example
 * ```ts
 * import { resolveSettings } from "headrace/config";
 *
 * const { settings, origins } = resolveSettings({
 *   file: { name: "cluster.json", text: '{"tensor_protocol": {"chunk_size": "4MiB"}}' },
 *   environment: { OLLAMA_TENSOR_MAX_RETRIES: "5" },
 *   options: { compressionEnabled: false },
 * });
 * console.log(settings.chunkBytes); // 4194304
 * console.log(origins.chunk_size.origin); // file cluster.json
 * console.log(origins.max_retries.origin); // environment OLLAMA_TENSOR_MAX_RETRIES
 * ```
 */
export function resolveSettings(inputs: SettingsInputs = {}): ResolvedSettings {
  const { file, environment = {}, flags = [], options = {} } = inputs;
  const fromFile = file && readFile(file.name, file.text);
  const layers = [
    readOptions(options),
    readFlags(flags),
    readEnvironment(environment),
    fromFile?.layer,
  ];
  const entries = settingKeys().map((key): [SettingKey, SettingOrigin] => {
    for (const layer of layers) {
      const value = layer?.values.get(key);
      if (layer && value !== undefined) return [key, { value, origin: layer.origin(key) }];
    }
    return [key, { value: DEFAULT_SETTINGS[SETTING_KEYS[key].name], origin: "default" }];
  });
  const named = entries.map(([key, { value }]) => [SETTING_KEYS[key].name, value] as const);
  return {
    settings: Object.fromEntries(named) as unknown as Settings,
    origins: Object.fromEntries(entries) as Record<SettingKey, SettingOrigin>,
    ignoredKeys: fromFile?.ignoredKeys ?? [],
  };
}
