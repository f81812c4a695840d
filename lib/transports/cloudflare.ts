/**
 * Connections of Cloudflare workers: dialling over TCP, and WebSockets that a fetch handler takes.
 * A worker dials WebSockets by `headrace/websocket`.
 *
 * @module headrace/cloudflare
 */
export type { OriginRules } from "../origin_rules.ts";
export { connect, type WorkerConnect, type WorkerConnectOptions } from "./tcp_cloudflare.ts";
export { upgradeWebSocket, type WorkerUpgrade } from "./websocket_cloudflare.ts";
export type { WorkerSocket } from "./worker_socket.ts";
