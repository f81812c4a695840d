// This module runs in every runtime.
import * as v from "valibot";
import { ConfigError } from "../errors.ts";
import { clusterFileSchema } from "./schema.ts";
import { SETTING_KEYS, type SettingKey, settingKeys, spellingsOf } from "./setting_keys.ts";
import type { Settings } from "./settings.ts";
import { findMeant } from "./spelling.ts";

/** What a setting can be. */
export type SettingValue = Settings[keyof Settings];

/** What one origin says, checked. */
export interface Layer {
  readonly values: ReadonlyMap<SettingKey, SettingValue>;
  /** Who said it: `option`, `environment NAME`, `file NAME`. */
  readonly origin: (key: SettingKey) => string;
}

/** How messages speak of an origin. */
export interface Wording {
  /** The origin itself. */
  readonly whole: string;
  /** One of its keys. */
  readonly subject: (key: string) => string;
  /** A value as it was written there, where that is not what was checked. */
  readonly written?: (key: string) => unknown;
}

/** The section of the cluster file that is headrace's. */
export const SECTION = "tensor_protocol";

/** In our own section any likeness is worth a hint. */
const LETTERS_A_SLIP = 2;
const MAX_SHOWN = 80;

/**
 * Checks what one origin says, in the shape of a cluster file.
 *
 * @throws {ConfigError} for the first thing that is not accepted.
 */
export function checkLayer(said: unknown, wording: Wording): Layer["values"] {
  const result = v.safeParse(clusterFileSchema, said, { abortEarly: true });
  if (!result.success) throw errorOf(result.issues[0], wording);
  const { tensor_protocol: section = {}, ...top } = result.output;
  const values = Object.entries({ ...top, ...section }).filter(([, value]) => value !== undefined);
  return new Map(values as [SettingKey, SettingValue][]);
}

function errorOf(issue: v.BaseIssue<unknown>, wording: Wording): ConfigError {
  const { whole, subject, written } = wording;
  // What is wrong with one of a list's values is wrong with the setting.
  const named = issue.path?.findLast((item) => typeof item.key === "string");
  const last = issue.path?.at(-1);
  if (!named || !last) {
    return new ConfigError(`${whole} must be ${issue.message}, found ${show(issue.input)}`);
  }
  const key = String(named.key);
  if (issue.type !== "strict_object") {
    const found = show(written?.(key) ?? last.value);
    return new ConfigError(`${subject(key)} must be ${issue.message}, found ${found}`);
  }
  const known = settingKeys().filter((one) => !isTopKey(one));
  const meant = findMeant(key, spellingsOf(known), LETTERS_A_SLIP);
  return new ConfigError(
    `${subject(SECTION)}: unknown key ${show(key)} (value ${show(last.value)})` +
      `${meant ? `, did you mean ${meant}?` : "."} Accepted: ${known.join(", ")}`,
  );
}

/** Settings by their keys, in the shape of a cluster file. */
export function inFileShape(said: readonly (readonly [SettingKey, unknown])[]): unknown {
  const top = said.filter(([key]) => isTopKey(key));
  const section = said.filter(([key]) => !isTopKey(key));
  return { ...Object.fromEntries(top), [SECTION]: Object.fromEntries(section) };
}

/** Whether the key stands at the top of the cluster file rather than in its section. */
export function isTopKey(key: SettingKey): boolean {
  return SETTING_KEYS[key].section === "top";
}

/** A value as a message shows it: in one line, and not too long. */
export function show(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  if (typeof value !== "string") return String(value);
  const text = JSON.stringify(value.slice(0, MAX_SHOWN));
  return value.length > MAX_SHOWN ? `${text}...` : text;
}
