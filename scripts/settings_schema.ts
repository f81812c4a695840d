// The JSON Schema of a cluster file, made of the one schema that settings are checked against.
import { toJsonSchema } from "@valibot/to-json-schema";
import { clusterFileSchema } from "../lib/config/schema.ts";
import { SETTING_KEYS, settingKeys } from "../lib/config/setting_keys.ts";
import { DEFAULT_SETTINGS } from "../lib/config/settings.ts";

/** An object of a JSON Schema. */
interface JsonObject {
  properties: Record<string, JsonObject>;
  [key: string]: unknown;
}

/** Beside what the file's rules are: each setting's default, and its name in the environment. */
export function settingsSchema(): JsonObject {
  const schema = toJsonSchema(clusterFileSchema, {
    // Checks in code have no counterpart; the forms and ranges beside them have.
    errorMode: "ignore",
    ignoreActions: ["check", "transform"],
    overrideAction: ({ valibotAction, jsonSchema }) =>
      valibotAction.type === "max_bytes"
        ? {
            ...jsonSchema,
            maxLength: (valibotAction as unknown as { requirement: number }).requirement,
          }
        : undefined,
  }) as unknown as JsonObject;
  schema.title = "Settings of headrace in a cluster file";
  const inSection = schema.properties.tensor_protocol as JsonObject;
  for (const key of settingKeys()) {
    const { environment, name, section } = SETTING_KEYS[key];
    const field = (section === "top" ? schema : inSection).properties[key] as JsonObject;
    field.description = `In the environment: ${environment}`;
    const initial = DEFAULT_SETTINGS[name];
    if (initial !== undefined) field.default = initial;
  }
  return schema;
}
