// This module runs in every runtime.
import { DASHBOARD_FILES } from "./dashboard_files.ts";

/** A file of the page for people. */
export interface PageFile {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The file at this URL, if the page has one there. It may ask the nodes that `?peer=` names, and nobody else. */
export function pageFile({ pathname, searchParams }: URL): PageFile | undefined {
  if (!Object.hasOwn(DASHBOARD_FILES, pathname)) return undefined;
  const { type, body } = DASHBOARD_FILES[pathname] as { type: string; body: string };
  const peers = searchParams.getAll("peer").flatMap((peer) => originOf(peer) ?? []);
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src data:",
    `connect-src ${["'self'", ...new Set(peers)].join(" ")}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  const headers = {
    "content-type": type,
    "content-security-policy": policy,
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
  };
  return { headers, body };
}

/** What may stand in a policy: the origin of a web server, and nothing that could say more. */
function originOf(peer: string): string | undefined {
  if (!URL.canParse(peer)) return undefined;
  const { protocol, origin } = new URL(peer);
  return /^https?:$/.test(protocol) && !/[\s;,'"*]/.test(origin) ? origin : undefined;
}
