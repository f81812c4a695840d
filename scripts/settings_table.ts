// The table of docs/settings.md, made of the names and defaults of all settings.
import { SETTING_KEYS, settingKeys } from "../lib/config/setting_keys.ts";
import { DEFAULT_SETTINGS } from "../lib/config/settings.ts";

/** What stands before the table. */
export const TABLE_MARK =
  "<!-- The table is made by: node dist/scripts/check_settings_schema.js --write -->\n";

/** The guide with the table as it must be. */
export function withSettingsTable(guide: string): string {
  const [before = ""] = guide.split(TABLE_MARK);
  const rows = settingKeys().map((key) => {
    const { environment, name, section } = SETTING_KEYS[key];
    const where = section === "top" ? `\`${key}\` (at the top)` : `\`${key}\``;
    return `| ${where} | \`${environment}\` | ${shown(DEFAULT_SETTINGS[name])} |`;
  });
  const table = ["| key | environment | default |", "|---|---|---|", ...rows];
  return `${before}${TABLE_MARK}\n${table.join("\n")}\n`;
}

function shown(value: unknown): string {
  return value === undefined
    ? ""
    : `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;
}
