// The list of tensors: a line for each, and a panel below the one that is open.
import { drawHistogram, drawMap, pictureInWords } from "./draw.ts";
import {
  type Order,
  type Picture,
  PRIORITIES,
  type TensorLine,
  type TensorState,
} from "./messages.ts";
import { bytesInWords, percentInWords, shapeInWords } from "./words.ts";

interface Row {
  readonly tensor: TensorLine;
  readonly item: HTMLLIElement;
  readonly opener: HTMLButtonElement;
  readonly progress: HTMLProgressElement;
  readonly state: HTMLElement;
  readonly priorityTag: HTMLElement;
  readonly pause: HTMLButtonElement;
  readonly panel: HTMLElement;
  now: TensorState;
  priority: number;
}

const STATES: Readonly<Record<TensorState, string>> = {
  waiting: "waiting",
  paused: "paused",
  moving: "",
  here: "here",
  failed: "failed",
};

/** A new element with a class and words in it. */
function made<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  text = "",
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

export class TensorList {
  readonly #list: HTMLElement;
  readonly #order: (order: Order) => void;
  #rows: Row[] = [];
  #open: Row | undefined;

  /** @param order Asks the worker for something. */
  constructor(list: HTMLElement, order: (order: Order) => void) {
    this.#list = list;
    this.#order = order;
    // Canvases do not follow the colours of the page by themselves.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#ask());
  }

  /** Ids of the tensors that have not come. */
  get pending(): number[] {
    return this.#rows.filter(({ now }) => now !== "here").map(({ tensor }) => tensor.id);
  }

  get isAnyPaused(): boolean {
    return this.#rows.some(({ now }) => now === "paused");
  }

  get isAnyRunning(): boolean {
    return this.#rows.some(({ now }) => now === "waiting" || now === "moving");
  }

  show(tensors: readonly TensorLine[]): void {
    this.#open = undefined;
    this.#rows = tensors.map((tensor) => this.#row(tensor));
    this.#list.replaceChildren(...this.#rows.map(({ item }) => item));
  }

  change(id: number, bytes: number, state: TensorState): void {
    const row = this.#rows[id];
    if (row === undefined) return;
    const { byteLength } = row.tensor;
    const wasHere = row.now === "here";
    row.now = state;
    row.item.dataset.state = state;
    row.progress.value = state === "here" ? 1 : byteLength === 0 ? 0 : bytes / byteLength;
    const percent = percentInWords(bytes, byteLength);
    row.state.textContent =
      bytes > 0 && state === "paused" ? `paused, ${percent}` : STATES[state] || percent;
    row.pause.hidden = state === "here" || state === "failed";
    row.pause.textContent = state === "paused" ? "Resume" : "Pause";
    row.pause.setAttribute("aria-label", `${row.pause.textContent} ${row.tensor.name}`);
    if (row === this.#open && state === "here" && !wasHere) {
      this.#fillPanel(row);
      this.#ask();
    }
  }

  draw(id: number, picture: Picture | undefined): void {
    const row = this.#rows[id];
    if (row === undefined || row !== this.#open) return;
    const figure = row.panel.querySelector("figure");
    if (!figure) return;
    figure.removeAttribute("aria-busy");
    if (picture === undefined) {
      figure.replaceChildren(made("figcaption", "", "These values cannot be drawn."));
      return;
    }
    const words = pictureInWords(picture);
    const [histogram, map] = ["histogram", "map"].map((kind) => {
      const canvas = made("canvas", kind);
      canvas.setAttribute("role", "img");
      return canvas;
    }) as [HTMLCanvasElement, HTMLCanvasElement];
    histogram.setAttribute("aria-label", `Histogram of ${row.tensor.name}: ${words}`);
    const { rows, columns } = picture.map;
    map.setAttribute(
      "aria-label",
      `Heat map of ${row.tensor.name}, ${rows} by ${columns} cells, each the mean of a patch`,
    );
    figure.replaceChildren(histogram, map, made("figcaption", "", words));
    drawHistogram(histogram, picture);
    drawMap(map, picture);
  }

  /** Shows the tensors whose names hold the text. */
  filter(text: string): number {
    let shown = 0;
    for (const { item, tensor } of this.#rows) {
      item.hidden = !`${tensor.partition}/${tensor.name}`
        .toLowerCase()
        .includes(text.toLowerCase());
      if (!item.hidden) shown++;
    }
    return shown;
  }

  #row(tensor: TensorLine): Row {
    const { id, name, dtype, shape, byteLength, partition } = tensor;
    const item = made("li", "tensor");
    const opener = made("button", "opener");
    opener.type = "button";
    opener.setAttribute("aria-expanded", "false");
    opener.append(made("span", "name", name));
    opener.title = `${partition} / ${name}`;
    const kind = made("span", "kind", `${dtype} ${shapeInWords(shape)}`);
    const progress = made("progress", "bar");
    progress.max = 1;
    progress.value = 0;
    progress.setAttribute("aria-label", `Progress of ${name}`);
    const state = made("span", "state", STATES.waiting);
    const size = made("span", "size", bytesInWords(byteLength));
    const priorityTag = made("span", "tag");
    priorityTag.hidden = true;
    const pause = made("button", "quiet", "Pause");
    pause.type = "button";
    pause.setAttribute("aria-label", `Pause ${name}`);
    const panel = made("div", "panel");
    panel.id = `panel-${id}`;
    panel.hidden = true;
    opener.setAttribute("aria-controls", panel.id);
    const row: Row = {
      tensor,
      item,
      opener,
      progress,
      state,
      priorityTag,
      pause,
      panel,
      now: "waiting",
      priority: PRIORITIES.Normal,
    };
    opener.append(priorityTag);
    opener.addEventListener("click", () => this.#toggle(row));
    pause.addEventListener("click", () => {
      this.#order({ kind: "pause", ids: [id], isPaused: row.now !== "paused" });
    });
    item.dataset.state = "waiting";
    item.append(opener, kind, size, progress, state, pause, panel);
    return row;
  }

  #toggle(row: Row): void {
    const isOpening = row !== this.#open;
    if (this.#open) {
      this.#open.panel.hidden = true;
      this.#open.opener.setAttribute("aria-expanded", "false");
      this.#open.panel.replaceChildren();
    }
    this.#open = isOpening ? row : undefined;
    if (!isOpening) return;
    row.panel.hidden = false;
    row.opener.setAttribute("aria-expanded", "true");
    this.#fillPanel(row);
    this.#ask();
  }

  #fillPanel(row: Row): void {
    const figure = made("figure", "picture");
    if (row.now === "here") {
      figure.setAttribute("aria-busy", "true");
      row.panel.replaceChildren(figure);
    } else {
      figure.append(made("figcaption", "", "Its values are drawn here once it has come."));
      row.panel.replaceChildren(this.#priorities(row), figure);
    }
  }

  #priorities(row: Row): HTMLElement {
    const group = made("div", "priorities");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", `Priority of ${row.tensor.name}`);
    group.append(made("span", "label", "Priority"));
    for (const [label, priority] of Object.entries(PRIORITIES)) {
      const button = made("button", "choice", label);
      button.type = "button";
      button.setAttribute("aria-pressed", String(row.priority === priority));
      button.addEventListener("click", () => {
        row.priority = priority;
        for (const other of group.querySelectorAll("button")) {
          other.setAttribute("aria-pressed", String(other === button));
        }
        row.priorityTag.textContent = label.toLowerCase();
        row.priorityTag.hidden = priority === PRIORITIES.Normal;
        this.#order({ kind: "prioritise", ids: [row.tensor.id], priority });
      });
      group.append(button);
    }
    return group;
  }

  /** Has the picture of the open tensor made, if that is here. */
  #ask(): void {
    if (this.#open?.now === "here") this.#order({ kind: "draw", id: this.#open.tensor.id });
  }
}
