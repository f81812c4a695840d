// This module runs in every runtime.
import { ConfigError } from "../errors.ts";
import { checkLayer, inFileShape, type Layer, show } from "./layer.ts";
import { SETTING_KEYS, type SettingKey, settingKeys, spellingsOf } from "./setting_keys.ts";
import { findMeant } from "./spelling.ts";

/** A setting as a command line gives it. */
export interface SettingFlag {
  /** As messages and origins call it: `--token-file`, `--set`. */
  readonly flag: string;
  /** As the cluster file spells it. */
  readonly key: string;
  /** As the environment would write it. */
  readonly text: string;
}

/** In what names our settings any likeness is worth a hint. */
const LETTERS_A_SLIP = 2;

/** Reads the settings of a command line; of several for one key the last counts. */
export function readFlags(flags: readonly SettingFlag[]): Layer {
  const said = new Map<SettingKey, SettingFlag>();
  for (const flag of flags) {
    if (!Object.hasOwn(SETTING_KEYS, flag.key)) throw unknownKey(flag);
    said.set(flag.key as SettingKey, flag);
  }
  const subject = (key: string) => subjectOf(said.get(key as SettingKey), key);
  const typed = [...said].map(
    ([key, { text }]) => [key, SETTING_KEYS[key].fromText(text)] as const,
  );
  const values = checkLayer(inFileShape(typed), {
    whole: "The command line",
    subject,
    written: (key) => said.get(key as SettingKey)?.text,
  });
  return { values, origin: (key) => `option ${subject(key)}` };
}

/** `--set chunk_size`, or `--token-file` where the flag says it all. */
function subjectOf(flag: SettingFlag | undefined, key: string): string {
  return flag?.flag === "--set" ? `--set ${key}` : (flag?.flag ?? key);
}

function unknownKey({ flag, key, text }: SettingFlag): ConfigError {
  const meant = findMeant(key, spellingsOf(settingKeys()), LETTERS_A_SLIP);
  return new ConfigError(
    `${flag}: unknown key ${show(key)} (value ${show(text)})` +
      `${meant ? `, did you mean ${meant}?` : "."} Accepted: ${settingKeys().join(", ")}`,
  );
}
