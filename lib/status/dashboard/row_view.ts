// This module runs in every runtime.
import type { TransferSnapshot } from "../../session/transfer_snapshot.ts";
import { formatBytes, formatSeconds } from "../format.ts";
import { element, setText } from "./elements.ts";
import { isEnded, namesOf, type Row } from "./rows.ts";

const PRIORITIES: readonly (readonly [number, string])[] = [
  [200, "critical"],
  [100, "high"],
  [50, "normal"],
  [0, "low"],
];

/** What a row's controls ask for. */
export interface RowActions {
  cancel(row: Row): void;
  prioritise(row: Row, priority: number): void;
}

/** The priority that comes after, up or down. */
export function nextPriority(priority: number, isUp: boolean): number {
  const steps = PRIORITIES.map(([value]) => value);
  const found = isUp
    ? steps.toReversed().find((value) => value > priority)
    : steps.find((value) => value < priority);
  return found ?? priority;
}

/** One line of the list, for one transfer as long as that is to be seen. */
export class RowView {
  readonly element: HTMLLIElement = element("li", "row");
  readonly #name = element("span", "name");
  readonly #route = element("span", "route");
  readonly #bar = element("div", "bar");
  readonly #fill = element("i");
  readonly #figures = element("span", "figures");
  readonly #priority = element("select");
  readonly #cancel = element("button", "", "Cancel");
  #row: Row;

  constructor(row: Row, actions: RowActions) {
    this.#row = row;
    this.#bar.append(this.#fill);
    this.#bar.role = "progressbar";
    this.#bar.ariaValueMin = "0";
    this.#bar.ariaValueMax = "100";
    const what = element("div", "what");
    what.append(this.#name, this.#route);
    const whole = element("div", "whole");
    whole.append(what, this.#bar, this.#figures);
    for (const [value, name] of PRIORITIES) this.#priority.add(new Option(name, String(value)));
    this.#priority.addEventListener("change", () =>
      actions.prioritise(this.#row, Number(this.#priority.value)),
    );
    this.#cancel.type = "button";
    this.#cancel.addEventListener("click", () => actions.cancel(this.#row));
    this.element.append(whole, this.#priority, this.#cancel);
    this.show(row);
  }

  /** Shows the transfer as it is now. */
  show(row: Row): void {
    this.#row = row;
    const { transfer, link } = row;
    const { direction, status, priority, remote, phase, bytes, totalBytes } = transfer;
    const isOver = isEnded(transfer);
    const chosen = this.element.classList.contains("chosen") ? " chosen" : "";
    const className = `row ${direction} ${status}${chosen}`;
    if (this.element.className !== className) this.element.className = className;
    const { tensor: name, place } = namesOf(transfer.address);
    setText(this.#name, name);
    this.#name.title = name;
    setText(this.#route, `${place}, ${routeOf(link.name, direction, remote)}`);
    this.#route.title = this.#route.textContent ?? "";
    const share = totalBytes ? bytes / totalBytes : Number(status === "complete");
    this.#fill.style.transform = `scaleX(${Math.min(1, share)})`;
    this.#bar.ariaValueNow = String(Math.floor(share * 100));
    this.#bar.ariaLabel = name;
    setText(this.#figures, figuresOf(transfer, share));
    this.#figures.title = this.#figures.textContent ?? "";
    this.#figures.classList.toggle("error", status === "failed" || phase === "retrying");
    this.#priority.hidden = isOver;
    this.#cancel.hidden = isOver;
    this.#priority.ariaLabel = `Priority of ${name}`;
    this.#cancel.ariaLabel = `Cancel ${name}`;
    // Whoever is choosing is not interrupted.
    if (document.activeElement !== this.#priority) this.#setPriority(priority);
  }

  #setPriority(priority: number): void {
    const value = String(priority);
    if (this.#priority.value === value) return;
    for (const option of [...this.#priority.options].slice(PRIORITIES.length)) option.remove();
    if (!PRIORITIES.some(([known]) => known === priority)) this.#priority.add(new Option(value));
    this.#priority.value = value;
  }
}

function routeOf(node: string, direction: "in" | "out", remote = "?"): string {
  return direction === "out" ? `${node} → ${remote}` : `${node} ← ${remote}`;
}

function figuresOf(transfer: TransferSnapshot, share: number): string {
  const { status, phase, bytes, totalBytes, bytesPerSecond, etaMs, lastError } = transfer;
  const { retries, resumedBytes, compressionRatio, dtype, shape } = transfer;
  const isOver = isEnded(transfer);
  const parts = [
    totalBytes === undefined
      ? formatBytes(bytes)
      : `${Math.floor(share * 100)} % of ${formatBytes(totalBytes)}`,
    isOver ? status : phase,
  ];
  if (!isOver && phase === "moving") parts.push(`${formatBytes(bytesPerSecond)}/s`);
  if (!isOver && etaMs !== undefined) parts.push(`${formatSeconds(etaMs)} left`);
  if (lastError && status !== "complete") parts.push(lastError.message);
  if (retries > 0) parts.push(retries === 1 ? "1 retry" : `${retries} retries`);
  if (resumedBytes > 0) parts.push(`${formatBytes(resumedBytes)} resumed`);
  if (compressionRatio !== undefined && compressionRatio > 1.005) {
    parts.push(`${compressionRatio.toFixed(compressionRatio < 10 ? 2 : 0)} × smaller`);
  }
  if (dtype !== undefined) parts.push(`${dtype} [${shape?.join(", ")}]`);
  return parts.join(" · ");
}
