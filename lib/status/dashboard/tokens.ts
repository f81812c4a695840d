// This module runs in every runtime.
import { by } from "./elements.ts";

const PREFIX = "headrace-token ";

/** The tokens of nodes: asked for once, kept as long as the tab. */
export class Tokens {
  readonly #name: (origin: string) => string;
  /** One question at a time. */
  #asking: Promise<unknown> = Promise.resolve();

  /** @param name What a node is called in the question. */
  constructor(name: (origin: string) => string) {
    this.#name = name;
  }

  /** What a request to the node says of whom it is. */
  headers(origin: string): Record<string, string> {
    const token = sessionStorage.getItem(PREFIX + origin);
    return token === null ? {} : { authorization: `Bearer ${token}` };
  }

  has(origin: string): boolean {
    return sessionStorage.getItem(PREFIX + origin) !== null;
  }

  forget(origin: string): void {
    sessionStorage.removeItem(PREFIX + origin);
  }

  /** Asks for a node's token; `false` when nobody gives one. */
  ask(origin: string, why: string): Promise<boolean> {
    const asked = this.#asking.then(() => this.#ask(origin, why));
    this.#asking = asked;
    return asked;
  }

  #ask(origin: string, why: string): Promise<boolean> {
    const dialog = by("token-dialog", HTMLDialogElement);
    const input = by("token", HTMLInputElement);
    by("token-why").textContent = why;
    by("token-of").textContent = this.#name(origin);
    input.value = "";
    dialog.showModal();
    return new Promise((resolve) => {
      const stop = new AbortController();
      const { signal } = stop;
      const over = (isGiven: boolean) => {
        stop.abort();
        if (isGiven) sessionStorage.setItem(PREFIX + origin, input.value.trim());
        input.value = "";
        dialog.close();
        resolve(isGiven);
      };
      const submit = (event: Event) => {
        event.preventDefault();
        over(true);
      };
      by("token-form").addEventListener("submit", submit, { signal });
      by("token-never").addEventListener("click", () => over(false), { signal });
      dialog.addEventListener("cancel", () => over(false), { signal });
    });
  }
}
