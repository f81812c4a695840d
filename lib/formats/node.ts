/**
 * Safetensors files on the local disk of Node, Deno and Bun.
 *
 * @module headrace/safetensors/node
 */
export type { ByteFile } from "./byte_file.ts";
export { openNodeFile } from "./node_file.ts";
export { SafetensorsStore, type SafetensorsStoreOptions } from "./safetensors_store.ts";
