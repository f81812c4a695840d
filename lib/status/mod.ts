// This module runs in every runtime.
/**
 * What a node does, by HTTP: a fetch-style handler with JSON, events, metrics and a page for people.
 *
 * @module headrace/status
 */

export type { OriginRules } from "../origin_rules.ts";
export type { NodeHead, NodeStatus } from "./node_status.ts";
export type { StatusEvent } from "./status_feed.ts";
export { createStatusHandler, type StatusHandlerOptions } from "./status_handler.ts";
