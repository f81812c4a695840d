// This module runs in every runtime.
/**
 * Safetensors files: reading and checking their headers, writing them, and the index of a sharded
 * model. Nothing here touches a file system.
 *
 * @module headrace/safetensors
 */
export { encodeHeader, type NamedDescriptor } from "./encode_header.ts";
export {
  headerByteLength,
  parseHeader,
  type SafetensorsEntry,
  type SafetensorsHeader,
  type SafetensorsOptions,
} from "./header.ts";
export { parseShardIndex, type ShardIndex } from "./shard_index.ts";
export { type WriteSafetensorsOptions, writeSafetensors } from "./writer.ts";
