// This module runs in every runtime.
/**
 * Settings from options, environment and cluster file: checked, and each with where it came from.
 *
 * @module headrace/config
 */
export type { SettingValue } from "./layer.ts";
export { peerOptions } from "./peer_options.ts";
export type { Environment } from "./read_environment.ts";
export type { SettingFlag } from "./read_flags.ts";
export type { SettingsOptions } from "./read_options.ts";
export {
  type ResolvedSettings,
  resolveSettings,
  type SettingOrigin,
  type SettingsInputs,
} from "./resolve_settings.ts";
export { type ClusterFile, clusterFileSchema, type TensorProtocolSection } from "./schema.ts";
export { SETTING_KEYS, type SettingKey, type SettingNames } from "./setting_keys.ts";
export { DEFAULT_SETTINGS, type LogLevel, type NodeRole, type Settings } from "./settings.ts";
