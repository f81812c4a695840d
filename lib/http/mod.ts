// This module runs in every runtime.
/**
 * Tensors by plain HTTP, for browsers, curl and CDNs: a store's as a fetch-style handler, and a
 * client of it and of safetensors files on any web server.
 *
 * @module headrace/http
 */
export {
  type ByteRange,
  createHandler,
  type HandlerOptions,
  type OriginRules,
  parseRange,
  type RequestOrigin,
  whyRefused,
} from "../transports/http_handler.ts";
export { HttpClient } from "./client.ts";
export { HttpSafetensors } from "./file.ts";
export type { HttpOptions, HttpRequestOptions } from "./options.ts";
