// One tensor's line in the list, and the panel below it while that is open.
import { drawHistogram, drawMap, pictureInWords } from "./draw.ts";
import {
  type Order,
  type Picture,
  PRIORITIES,
  type TensorLine,
  type TensorState,
} from "./messages.ts";
import { bytesInWords, percentInWords, shapeInWords } from "./words.ts";

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

function button(className: string, text: string, onClick: () => void): HTMLButtonElement {
  const element = made("button", className, text);
  element.type = "button";
  element.addEventListener("click", onClick);
  return element;
}

export class TensorRow {
  readonly item: HTMLLIElement = made("li", "tensor");
  readonly #tensor: TensorLine;
  readonly #order: (order: Order) => void;
  readonly #opener: HTMLButtonElement;
  readonly #bar: HTMLProgressElement = made("progress", "bar");
  readonly #state: HTMLElement = made("span", "state");
  readonly #tag: HTMLElement = made("span", "tag");
  readonly #pause: HTMLButtonElement;
  readonly #panel: HTMLElement = made("div", "panel");
  #now: TensorState = "waiting";
  #priority: number = PRIORITIES.Normal;

  /** @param onToggle Called when the line is pressed. */
  constructor(tensor: TensorLine, order: (order: Order) => void, onToggle: () => void) {
    this.#tensor = tensor;
    this.#order = order;
    const { id, name, dtype, shape, byteLength, partition } = tensor;
    this.#panel.id = `panel-${id}`;
    this.#opener = button("opener", "", onToggle);
    this.#opener.title = `${partition} / ${name}`;
    this.#opener.setAttribute("aria-controls", this.#panel.id);
    this.#opener.append(made("span", "name", name), this.#tag);
    this.#bar.max = 1;
    this.#bar.setAttribute("aria-label", `Progress of ${name}`);
    this.#pause = button("quiet", "Pause", () =>
      order({ kind: "pause", ids: [id], isPaused: this.#now !== "paused" }),
    );
    const kind = made("span", "kind", `${dtype} ${shapeInWords(shape)}`);
    const size = made("span", "size", bytesInWords(byteLength));
    this.item.append(
      ...[this.#opener, kind, size, this.#bar, this.#state, this.#pause, this.#panel],
    );
    this.#tag.hidden = true;
    this.close();
    this.update(0, "waiting");
  }

  update(bytes: number, state: TensorState): void {
    const { name, byteLength } = this.#tensor;
    const hasCome = state === "here" && this.#now !== "here";
    this.#now = state;
    this.item.dataset.state = state;
    this.#bar.value = state === "here" ? 1 : byteLength === 0 ? 0 : bytes / byteLength;
    const percent = percentInWords(bytes, byteLength);
    const isHalted = bytes > 0 && state === "paused";
    this.#state.textContent = isHalted ? `paused, ${percent}` : STATES[state] || percent;
    this.#pause.hidden = state === "here" || state === "failed";
    this.#pause.textContent = state === "paused" ? "Resume" : "Pause";
    this.#pause.setAttribute("aria-label", `${this.#pause.textContent} ${name}`);
    if (hasCome && !this.#panel.hidden) this.open();
  }

  /** Shows the panel, and has the picture made if the tensor is here. */
  open(): void {
    const figure = made("figure", "picture");
    if (this.#now === "here") {
      // The focus must not fall out of the page with the buttons that go.
      if (this.#panel.contains(document.activeElement)) this.#opener.focus();
      figure.setAttribute("aria-busy", "true");
      this.#panel.replaceChildren(figure);
      this.#order({ kind: "draw", id: this.#tensor.id });
    } else {
      figure.append(made("figcaption", "", "Its values are drawn here once it has come."));
      this.#panel.replaceChildren(this.#priorities(), figure);
    }
    this.#panel.hidden = false;
    this.#opener.setAttribute("aria-expanded", "true");
  }

  close(): void {
    this.#panel.hidden = true;
    this.#panel.replaceChildren();
    this.#opener.setAttribute("aria-expanded", "false");
  }

  draw(picture: Picture | undefined): void {
    const figure = this.#panel.querySelector("figure");
    if (!figure) return;
    figure.removeAttribute("aria-busy");
    if (picture === undefined) {
      figure.replaceChildren(made("figcaption", "", "These values cannot be drawn."));
      return;
    }
    const { name } = this.#tensor;
    const { rows, columns } = picture.map;
    const words = pictureInWords(picture);
    const histogram = made("canvas", "histogram");
    histogram.setAttribute("role", "img");
    histogram.setAttribute("aria-label", `Histogram of ${name}: ${words}`);
    const map = made("canvas", "map");
    map.setAttribute("role", "img");
    map.setAttribute(
      "aria-label",
      `Heat map of ${name}, ${rows} by ${columns} cells, each the mean of a patch`,
    );
    figure.replaceChildren(histogram, map, made("figcaption", "", words));
    drawHistogram(histogram, picture);
    drawMap(map, picture);
  }

  #priorities(): HTMLElement {
    const { id, name } = this.#tensor;
    const group = made("div", "priorities");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", `Priority of ${name}`);
    group.append(made("span", "label", "Priority"));
    for (const [label, priority] of Object.entries(PRIORITIES)) {
      const choice = button("choice", label, () => {
        this.#priority = priority;
        for (const other of group.querySelectorAll("button")) {
          other.setAttribute("aria-pressed", String(other === choice));
        }
        this.#tag.textContent = label.toLowerCase();
        this.#tag.hidden = priority === PRIORITIES.Normal;
        this.#order({ kind: "prioritise", ids: [id], priority });
      });
      choice.setAttribute("aria-pressed", String(this.#priority === priority));
      group.append(choice);
    }
    return group;
  }
}
