// This module runs in every runtime.

import { type OriginRules, whyRefused } from "../origin_rules.ts";
import { SUBPROTOCOL } from "./message_socket.ts";

/** Why a request does not become a WebSocket, and the status that says so. */
export interface Refusal {
  readonly status: number;
  readonly why: string;
}

/** Whether a request is to become a WebSocket. */
export function isUpgrade({ headers }: Request): boolean {
  return headers.get("upgrade")?.toLowerCase() === "websocket";
}

/**
 * Judges a request to become a WebSocket.
 *
 * @param get Gives a header by its name in lower case.
 * @param hasRoom Whether one more connection may wait to be taken.
 */
export function upgradeRefusal(
  get: (name: string) => string | null | undefined,
  rules: OriginRules,
  hasRoom: boolean,
): Refusal | undefined {
  if (get("upgrade")?.toLowerCase() !== "websocket") {
    return { status: 426, why: "only WebSockets are spoken here" };
  }
  const why = whyRefused({ host: get("host"), origin: get("origin") }, rules);
  if (why !== undefined) return { status: 403, why };
  const offered = get("sec-websocket-protocol") ?? "";
  if (!offered.split(/\s*,\s*/).includes(SUBPROTOCOL)) {
    return { status: 400, why: `only ${SUBPROTOCOL} is spoken here, not "${offered}"` };
  }
  return hasRoom ? undefined : { status: 503, why: "too many wait already" };
}
