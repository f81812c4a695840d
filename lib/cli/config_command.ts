import { SETTING_KEYS, type SettingKey } from "../config/setting_keys.ts";
import { type Command, defineVerb } from "./command.ts";
import { OUTPUT_ARGS } from "./common_args.ts";
import { runVerb } from "./verb.ts";

/** `headrace config`. */
export const configCommand: Command = defineVerb({
  name: "config",
  description: "Print each setting in force and where it came from",
  args: OUTPUT_ARGS,
  run: (args, rawArgs) =>
    runVerb(args, rawArgs, async ({ report, origins, ignoredKeys }) => {
      const settings = Object.entries(origins).map(([key, { value, origin }]) => {
        const { environment } = SETTING_KEYS[key as SettingKey];
        return { key, value: value ?? null, environment, origin };
      });
      const lines = table([
        ["KEY", "VALUE", "ENVIRONMENT", "ORIGIN"],
        ...settings.map((one) => [
          one.key,
          oneLine(String(one.value ?? "-")),
          one.environment,
          oneLine(one.origin),
        ]),
      ]);
      const [head, ...rows] = lines;
      for (const [index, setting] of settings.entries()) {
        const words = index === 0 ? `${head}\n${rows[index]}` : rows[index];
        report.event({ event: "setting", ...setting }, words);
      }
      if (ignoredKeys.length > 0) {
        process.stderr.write(`headrace: not used: ${oneLine(ignoredKeys.join(", "))}\n`);
      }
    }),
});

/** Control characters in what a file says do not reach the terminal. */
function oneLine(text: string): string {
  return text.replace(/\p{Cc}+/gu, " ");
}

/** Lines whose columns are as wide as what is in them. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
