// This module runs in every runtime.
import { by } from "./elements.ts";
import { type RowActions, RowView } from "./row_view.ts";
import type { Row } from "./rows.ts";

/** Rows that are made above and below what is to be seen. */
const MARGIN = 4;

/** A list of any length, of which only what is to be seen is in the page. */
export class RowList {
  readonly #scroller: HTMLElement = by("rows");
  readonly #list: HTMLElement = by("list");
  readonly #actions: RowActions;
  readonly #views = new Map<string, RowView>();
  #rows: readonly Row[] = [];
  #chosenKey = "";

  constructor(actions: RowActions) {
    this.#actions = actions;
    this.#scroller.tabIndex = 0;
    this.#scroller.addEventListener("scroll", () => this.#draw(), { passive: true });
    new ResizeObserver(() => this.#draw()).observe(this.#scroller);
  }

  /** The row that the keyboard is at. */
  get chosen(): Row | undefined {
    return this.#rows.find(({ key }) => key === this.#chosenKey);
  }

  /** Shows these rows, in their order. */
  show(rows: readonly Row[]): void {
    this.#rows = rows;
    this.#list.style.height = `${rows.length * this.#rowHeight}px`;
    this.#draw();
  }

  /** Chooses the row that many below the one that is chosen. */
  move(by: number): void {
    const at = this.#rows.findIndex(({ key }) => key === this.#chosenKey);
    const next = Math.min(this.#rows.length - 1, Math.max(0, at + (at < 0 && by < 0 ? 0 : by)));
    this.#chosenKey = this.#rows[next]?.key ?? "";
    const height = this.#rowHeight;
    const { scrollTop, clientHeight } = this.#scroller;
    if (next * height < scrollTop) this.#scroller.scrollTop = next * height;
    const below = (next + 1) * height - clientHeight;
    if (below > scrollTop) this.#scroller.scrollTop = below;
    this.#draw();
  }

  get #rowHeight(): number {
    return Number.parseFloat(getComputedStyle(this.#list).getPropertyValue("--row"));
  }

  #draw(): void {
    const height = this.#rowHeight;
    const { scrollTop, clientHeight } = this.#scroller;
    const first = Math.max(0, Math.floor(scrollTop / height) - MARGIN);
    const seen = this.#rows.slice(first, Math.ceil((scrollTop + clientHeight) / height) + MARGIN);
    const wanted = new Set(seen.map(({ key }) => key));
    for (const [key, view] of this.#views) {
      if (wanted.has(key)) continue;
      view.element.remove();
      this.#views.delete(key);
    }
    let next = this.#list.firstElementChild;
    for (const [index, row] of seen.entries()) {
      const view = this.#viewOf(row);
      const place = first + index;
      view.element.style.top = `${place * height}px`;
      view.element.ariaPosInSet = String(place + 1);
      view.element.ariaSetSize = String(this.#rows.length);
      view.element.classList.toggle("chosen", row.key === this.#chosenKey);
      // What comes before it now goes behind it: moved itself, it would lose the focus.
      if (next && next !== view.element && next.nextElementSibling === view.element) {
        this.#list.append(next);
        next = view.element;
      }
      if (next === view.element) next = next.nextElementSibling;
      else this.#list.insertBefore(view.element, next);
    }
  }

  #viewOf(row: Row): RowView {
    const known = this.#views.get(row.key);
    if (known) {
      known.show(row);
      return known;
    }
    const view = new RowView(row, this.#actions);
    this.#views.set(row.key, view);
    return view;
  }
}
