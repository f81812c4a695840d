// This module runs in every runtime.
import type { ConnectionView } from "../../session/connection_view.ts";
import { formatBytes } from "../format.ts";
import { by, element, setText } from "./elements.ts";
import type { NodeLink } from "./node_link.ts";

/** More than these are only counted. */
const MOST_SHOWN = 200;

/** Who is connected to these nodes. */
export function showPeers(links: readonly NodeLink[]): void {
  const peers = links.flatMap(({ name, head }) =>
    (head?.connections ?? []).map((connection) => ({ node: name, connection })),
  );
  const shown = peers.slice(0, MOST_SHOWN);
  const place = by("peers");
  while (place.children.length > shown.length) place.lastElementChild?.remove();
  while (place.children.length < shown.length) place.append(newItem());
  for (const [index, { node, connection }] of shown.entries()) {
    const [name, how, moved] = [...(place.children[index]?.children ?? [])] as HTMLElement[];
    if (!name || !how || !moved) continue;
    setText(name, `${connection.node} (${connection.role})`);
    setText(how, howOf(connection, links.length > 1 ? node : undefined));
    const { sentBytes, receivedBytes } = connection;
    setText(moved, `↓ ${formatBytes(receivedBytes)}  ↑ ${formatBytes(sentBytes)}`);
    name.title = name.textContent ?? "";
    how.title = how.textContent ?? "";
  }
  const hidden = peers.length - shown.length;
  setText(by("peer-count"), `${peers.length}${hidden > 0 ? `, ${MOST_SHOWN} shown` : ""}`);
  by("no-peers").hidden = peers.length > 0;
}

function newItem(): HTMLElement {
  const item = element("li");
  item.append(element("b"), element("span", "quiet"), element("span", "quiet"));
  return item;
}

function howOf({ transport, rttMs, remote }: ConnectionView, node: string | undefined): string {
  const roundTrip = rttMs === undefined ? "" : `, ${rttMs.toFixed(rttMs < 10 ? 1 : 0)} ms`;
  const where = remote.replace(/^[a-z+]+:\/\//i, "");
  return `${transport}${roundTrip}, ${where}${node === undefined ? "" : `, at ${node}`}`;
}
