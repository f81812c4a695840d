// This module runs in every runtime.
import { ConfigError } from "../errors.ts";
import { findJsonFault } from "./json_fault.ts";
import { checkLayer, isTopKey, type Layer, SECTION, show } from "./layer.ts";
import { settingKeys, spellingsOf } from "./setting_keys.ts";
import { findMeant } from "./spelling.ts";

/** Others' keys are called misspelt only when they come this close to one of ours. */
const LETTERS_A_SLIP = 6;

/** Reads a cluster file's settings, and the names of the top-level keys that are others'. */
export function readFile(
  name: string,
  text: string,
): { readonly layer: Layer; readonly ignoredKeys: readonly string[] } {
  const parsed = parseJson(name, text);
  const values = checkLayer(parsed, { whole: name, subject: (key) => `${name}: ${key}` });
  const ignoredKeys = othersKeys(name, parsed as Record<string, unknown>);
  return { layer: { values, origin: () => `file ${name}` }, ignoredKeys };
}

function parseJson(name: string, text: string): unknown {
  const json = text.replace(/^\uFEFF/, ""); // a byte order mark, as editors on Windows write it
  try {
    return JSON.parse(json);
  } catch (cause) {
    const fault = findJsonFault(json);
    const why = fault
      ? `line ${fault.line}, column ${fault.column}: wanted ${fault.wanted}, found ${fault.found}`
      : String(cause);
    throw new ConfigError(`${name} is no JSON: ${why}`, { cause });
  }
}

function othersKeys(name: string, parsed: Readonly<Record<string, unknown>>): string[] {
  const inSection = settingKeys().filter((key) => !isTopKey(key));
  const ours: string[] = [...settingKeys().filter(isTopKey), SECTION];
  const asWritten = ours.map((key) => [key, key] as const);
  const others = Object.keys(parsed).filter((key) => !ours.includes(key));
  for (const key of others) {
    const found = `${name}: unknown key ${show(key)} (value ${show(parsed[key])})`;
    const misplaced = findMeant(key, spellingsOf(inSection), LETTERS_A_SLIP);
    if (misplaced) throw new ConfigError(`${found}; ${misplaced} belongs in ${SECTION}`);
    const meant = findMeant(key, asWritten, LETTERS_A_SLIP);
    if (meant) throw new ConfigError(`${found}, did you mean ${meant}?`);
  }
  return others;
}
