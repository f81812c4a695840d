// This module runs in every runtime.

/** The page's element of this id and kind. */
export function by<T extends HTMLElement = HTMLElement>(
  id: string,
  kind: { new (): T } = HTMLElement as unknown as { new (): T },
): T {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new TypeError(`The page has no ${kind.name} #${id}`);
}

/** A new element; whatever the text is, it stays text. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  text = "",
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** Sets a text, and touches nothing where it is the same. */
export function setText(node: HTMLElement, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}
