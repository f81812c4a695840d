// The list of tensors: of those that the filter lets through the first hundred, and more if wanted.
import type { Order, Picture, TensorLine, TensorState } from "./messages.ts";
import { TensorRow } from "./tensor_row.ts";

interface Entry {
  readonly tensor: TensorLine;
  /** Made when it is first shown: a model may have thousands. */
  row?: TensorRow;
  bytes: number;
  now: TensorState;
}

/** More at once make a page that nobody wants to scroll, or to hear. */
const SHOWN_AT_ONCE = 100;

export class TensorList {
  readonly #list: HTMLElement;
  readonly #more: HTMLButtonElement;
  readonly #none: HTMLElement;
  readonly #order: (order: Order) => void;
  #entries: Entry[] = [];
  #open: Entry | undefined;
  #filter = "";
  #shown = SHOWN_AT_ONCE;

  /**
   * @param more Pressed for more lines.
   * @param none Shown when no name has the filter's text.
   * @param order Asks the worker for something.
   */
  constructor(
    list: HTMLElement,
    more: HTMLButtonElement,
    none: HTMLElement,
    order: (order: Order) => void,
  ) {
    this.#list = list;
    this.#more = more;
    this.#none = none;
    this.#order = order;
    more.addEventListener("click", () => {
      this.#shown += SHOWN_AT_ONCE;
      this.#render();
    });
    // Canvases do not follow the colours of the page by themselves.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#open?.row?.open();
    });
  }

  /** Ids of the tensors that have not come. */
  get pending(): number[] {
    return this.#entries.filter(({ now }) => now !== "here").map(({ tensor }) => tensor.id);
  }

  get isAnyPaused(): boolean {
    return this.#entries.some(({ now }) => now === "paused");
  }

  get isAnyRunning(): boolean {
    return this.#entries.some(({ now }) => now === "waiting" || now === "moving");
  }

  show(tensors: readonly TensorLine[]): void {
    this.#open = undefined;
    this.#entries = tensors.map((tensor) => ({ tensor, bytes: 0, now: "waiting" }));
    this.#render();
  }

  change(id: number, bytes: number, state: TensorState): void {
    const entry = this.#entries[id];
    if (entry === undefined) return;
    entry.bytes = bytes;
    entry.now = state;
    entry.row?.update(bytes, state);
  }

  draw(id: number, picture: Picture | undefined): void {
    if (this.#open?.tensor.id === id) this.#open.row?.draw(picture);
  }

  /** Shows the tensors whose names hold the text. */
  filter(text: string): void {
    this.#filter = text.toLowerCase();
    this.#shown = SHOWN_AT_ONCE;
    this.#render();
  }

  #render(): void {
    const wanted = this.#entries.filter(({ tensor }) =>
      `${tensor.partition}/${tensor.name}`.toLowerCase().includes(this.#filter),
    );
    const rows = wanted.slice(0, this.#shown).map((entry) => this.#rowOf(entry).item);
    this.#list.replaceChildren(...rows);
    const left = wanted.length - rows.length;
    this.#more.hidden = left === 0;
    this.#more.textContent = `Show ${Math.min(left, SHOWN_AT_ONCE)} more of ${left.toLocaleString("en")}`;
    this.#none.hidden = wanted.length > 0;
  }

  #rowOf(entry: Entry): TensorRow {
    if (entry.row === undefined) {
      entry.row = new TensorRow(entry.tensor, this.#order, () => this.#toggle(entry));
      entry.row.update(entry.bytes, entry.now);
    }
    return entry.row;
  }

  #toggle(entry: Entry): void {
    this.#open?.row?.close();
    this.#open = entry === this.#open ? undefined : entry;
    this.#open?.row?.open();
  }
}
