// This module runs in every runtime.
import { ConfigError } from "../errors.ts";
import { checkLayer, inFileShape, type Layer, show } from "./layer.ts";
import { SETTING_KEYS, type SettingKey, settingKeys } from "./setting_keys.ts";
import type { Settings } from "./settings.ts";

/** Settings that a caller gives itself; `undefined` counts as not given. */
export type SettingsOptions = {
  readonly [Name in keyof Settings]?: Settings[Name] | undefined;
};

/** Reads the settings that a caller gives itself. */
export function readOptions(options: SettingsOptions): Layer {
  const keyOf = new Map<string, SettingKey>(
    settingKeys().map((key) => [SETTING_KEYS[key].name, key]),
  );
  const said = Object.entries(options).flatMap(([name, value]): [SettingKey, unknown][] => {
    const key = keyOf.get(name);
    if (key) return value === undefined ? [] : [[key, value]];
    const accepted = [...keyOf.keys()].join(", ");
    throw new ConfigError(
      `Unknown option ${show(name)} (value ${show(value)}). Accepted: ${accepted}`,
    );
  });
  const values = checkLayer(inFileShape(said), {
    whole: "The options",
    subject: (key) => `Option ${SETTING_KEYS[key as SettingKey].name}`,
  });
  return { values, origin: () => "option" };
}
