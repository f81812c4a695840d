// This module runs in every runtime.
import { formatBytes } from "../format.ts";
import { Actions } from "./actions.ts";
import { ThroughputChart } from "./chart.ts";
import { by, setText } from "./elements.ts";
import { NodeLink } from "./node_link.ts";
import { showPeers } from "./peer_list.ts";
import { RowList } from "./row_list.ts";
import { nextPriority } from "./row_view.ts";
import { allRows, chosenRows, isEnded } from "./rows.ts";
import { Tokens } from "./tokens.ts";

const CHART_INTERVAL_MS = 1000;

const links: NodeLink[] = [];
const tokens = new Tokens((origin) => links.find((one) => one.origin === origin)?.name ?? origin);
const actions = new Actions(tokens);
const list = new RowList(actions);
const chart = new ThroughputChart();

/** This node, and those that `?peer=http://HOST:PORT` names. */
function origins(): Set<string> {
  const peers = new URLSearchParams(location.search).getAll("peer");
  const named = peers
    .filter((peer) => URL.canParse(peer) && /^https?:/i.test(peer))
    .map((peer) => new URL(peer).origin);
  return new Set([location.origin, ...named]);
}

let isDue = false;

/** However much happens at once, it is drawn once. */
function changed(): void {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    draw();
  });
}

function draw(): void {
  showNodes();
  showTiles();
  showPeers(links);
  const rows = allRows(links);
  const chosen = chosenRows(rows, {
    filter: by("filter", HTMLInputElement).value,
    show: by("show", HTMLSelectElement).value,
    order: by("order", HTMLSelectElement).value,
  });
  const [shown, all] = [chosen.length, rows.length].map((count) => count.toLocaleString("en"));
  setText(by("transfer-count"), shown === all ? `${all}` : `${shown} of ${all}`);
  by("no-transfers").hidden = chosen.length > 0;
  setText(by("no-transfers"), rows.length > 0 ? "None is like that." : "Nothing has moved yet.");
  by("rows").hidden = chosen.length === 0;
  list.show(chosen);
}

function showNodes(): void {
  const place = by("nodes");
  while (place.children.length < links.length) place.append(document.createElement("li"));
  for (const [index, { name, state, head, origin }] of links.entries()) {
    const item = place.children[index] as HTMLElement;
    item.className = state;
    const role = head ? ` (${head.role})` : "";
    // Names may be the same.
    const where = links.length > 1 ? ` at ${new URL(origin).host}` : "";
    setText(item, `${name}${role}${where}${state === "live" ? "" : `: ${state}`}`);
  }
  document.title = `${links[0]?.name ?? ""} · headrace`;
}

function showTiles(): void {
  const totals = links.flatMap(({ head }) => (head ? [head.totals.in, head.totals.out] : []));
  const sum = (name: "complete" | "failed" | "retries") =>
    totals.reduce((total, one) => total + one[name], 0).toLocaleString("en");
  const live = allRows(links).filter(({ transfer }) => !isEnded(transfer)).length;
  const { inPerSecond, outPerSecond } = rates();
  setText(by("rate-in"), `${formatBytes(inPerSecond)}/s`);
  setText(by("rate-out"), `${formatBytes(outPerSecond)}/s`);
  const byHttp = links.reduce((sum, { head }) => sum + (head?.totals.responses.underWay ?? 0), 0);
  setText(by("count-live"), (live + byHttp).toLocaleString("en"));
  setText(by("count-complete"), sum("complete"));
  setText(by("count-failed"), sum("failed"));
  setText(by("count-retries"), sum("retries"));
}

function rates(): { inPerSecond: number; outPerSecond: number } {
  return {
    inPerSecond: links.reduce((sum, link) => sum + link.inPerSecond, 0),
    outPerSecond: links.reduce((sum, link) => sum + link.outPerSecond, 0),
  };
}

function onKey(event: KeyboardEvent): void {
  // A control inside has keys of its own.
  if (event.target !== by("rows") || event.ctrlKey || event.metaKey || event.altKey) return;
  const { chosen } = list;
  const isLive = chosen && !isEnded(chosen.transfer);
  const keys: Record<string, () => void> = {
    ArrowDown: () => list.move(1),
    ArrowUp: () => list.move(-1),
    PageDown: () => list.move(8),
    PageUp: () => list.move(-8),
    Home: () => list.move(Number.NEGATIVE_INFINITY),
    End: () => list.move(Number.MAX_SAFE_INTEGER),
  };
  if (isLive) {
    const change = (isUp: boolean) => {
      const next = nextPriority(chosen.transfer.priority, isUp);
      if (next !== chosen.transfer.priority) void actions.prioritise(chosen, next);
    };
    keys.Delete = () => void actions.cancel(chosen);
    keys["+"] = () => change(true);
    keys["="] = () => change(true);
    keys["-"] = () => change(false);
  }
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

for (const origin of origins()) links.push(new NodeLink(origin, tokens, changed));
for (const id of ["filter", "show", "order"]) by(id).addEventListener("input", changed);
by("rows").addEventListener("keydown", onKey);
by("token-button").addEventListener("click", async () => {
  for (const { origin } of links) {
    tokens.forget(origin);
    if (!(await tokens.ask(origin, "It is kept until this tab is closed."))) return;
  }
});
setInterval(() => {
  const { inPerSecond, outPerSecond } = rates();
  chart.note(Date.now() / 1000, inPerSecond, outPerSecond);
}, CHART_INTERVAL_MS);
for (const link of links) void link.follow();
changed();
