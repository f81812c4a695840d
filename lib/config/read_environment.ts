// This module runs in every runtime.
import { ConfigError } from "../errors.ts";
import { checkLayer, inFileShape, type Layer, show } from "./layer.ts";
import {
  ENVIRONMENT_PREFIX,
  SETTING_KEYS,
  type SettingKey,
  settingKeys,
  spellingsOf,
} from "./setting_keys.ts";
import { findMeant } from "./spelling.ts";

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Others' names are called misspelt only when they come this close to one of ours. */
const LETTERS_A_SLIP = 6;

const nameOf = (key: string) =>
  Object.hasOwn(SETTING_KEYS, key) ? SETTING_KEYS[key as SettingKey].environment : undefined;

/** Reads the environment's settings; an empty variable counts as not set. */
export function readEnvironment(environment: Environment): Layer {
  refuseMisspelt(environment);
  const said = settingKeys().flatMap((key): [SettingKey, unknown][] => {
    const { environment: name, fromText } = SETTING_KEYS[key];
    const text = environment[name];
    return text ? [[key, fromText(text)]] : [];
  });
  const values = checkLayer(inFileShape(said), {
    whole: "The environment",
    subject: (key) => `${nameOf(key)}: ${key}`,
    written: (key) => environment[nameOf(key) ?? ""],
  });
  return { values, origin: (key) => `environment ${nameOf(key)}` };
}

/** Ollama and others have variables that begin alike: only a near miss of one of ours is refused. */
function refuseMisspelt(environment: Environment): void {
  const known = new Set(settingKeys().map(nameOf));
  for (const [name, text] of Object.entries(environment)) {
    const prefix = ENVIRONMENT_PREFIX.exec(name)?.[0];
    if (prefix === undefined || !text || known.has(name)) continue;
    const alike = settingKeys().filter((key) => nameOf(key)?.startsWith(prefix));
    const meant = findMeant(name.slice(prefix.length), spellingsOf(alike), LETTERS_A_SLIP);
    if (meant === undefined) continue;
    throw new ConfigError(
      `The environment: unknown name ${name} (value ${show(text)}), did you mean ${nameOf(meant)}?`,
    );
  }
}
