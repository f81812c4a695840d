// This module runs in every runtime.
import type { TransferSnapshot } from "../../session/transfer_snapshot.ts";
import type { NodeLink } from "./node_link.ts";

/** A transfer as one of the nodes shows it. */
export interface Row {
  readonly key: string;
  readonly link: NodeLink;
  readonly transfer: TransferSnapshot;
}

/** What is shown, and in which order. */
export interface Choice {
  readonly filter: string;
  readonly show: string;
  readonly order: string;
}

const ENDED = new Set<string>(["complete", "failed", "cancelled"]);

/** Whether a transfer is over. */
export const isEnded = ({ status }: TransferSnapshot): boolean => ENDED.has(status);

/** Every transfer of every node. */
export function allRows(links: readonly NodeLink[]): Row[] {
  return links.flatMap((link) =>
    [...link.transfers].map(([key, transfer]) => ({
      key: `${link.origin} ${key}`,
      link,
      transfer,
    })),
  );
}

/** Those that were chosen, those under way before those that are over. */
export function chosenRows(rows: readonly Row[], { filter, show, order }: Choice): Row[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const isShown = ({ transfer }: Row) => {
    if (show === "live") return !isEnded(transfer);
    if (show === "ended") return isEnded(transfer);
    return show === "all" || transfer.status === show;
  };
  const chosen = rows.filter((row) => isShown(row) && matches(row, words));
  const rank = RANKS[order];
  return chosen.sort((a, b) => {
    const [isOver, isOther] = [isEnded(a.transfer), isEnded(b.transfer)];
    if (isOver !== isOther) return isOver ? 1 : -1;
    return rank ? rank(a.transfer) - rank(b.transfer) : 0;
  });
}

/** The lower goes first; those of the same rank stay as they are. */
const RANKS: Readonly<Record<string, (transfer: TransferSnapshot) => number>> = {
  priority: ({ priority }) => -priority,
  rate: ({ bytesPerSecond }) => -bytesPerSecond,
  left: ({ etaMs }) => etaMs ?? Number.MAX_VALUE,
};

function matches({ link, transfer }: Row, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const { address, remote = "", phase, direction, lastError } = transfer;
  const { tensor, place } = namesOf(address);
  const text = `${place} ${tensor} ${address} ${remote} ${link.name} ${phase} ${direction} ${lastError?.message ?? ""}`;
  const found = text.toLowerCase();
  return words.every((word) => found.includes(word));
}

/** A tensor's name, and the model and partition that it is in, as people read them. */
export function namesOf(address: string): { readonly tensor: string; readonly place: string } {
  const [model = "", partition = "", tensor = ""] = address.split("/").map(decoded);
  return { tensor, place: `${model} / ${partition}` };
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
