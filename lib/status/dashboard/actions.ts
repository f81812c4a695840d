// This module runs in every runtime.
import { by, setText } from "./elements.ts";
import type { RowActions } from "./row_view.ts";
import { namesOf, type Row } from "./rows.ts";
import type { Tokens } from "./tokens.ts";

const NOTICE_MS = 5000;

/** Changes transfers at their nodes, as whoever has the token may. */
export class Actions implements RowActions {
  readonly #tokens: Tokens;
  #noticeTimer = 0;

  constructor(tokens: Tokens) {
    this.#tokens = tokens;
  }

  /** Asks whether that is meant, and does it. */
  async cancel(row: Row): Promise<void> {
    const name = namesOf(row.transfer.address).tensor;
    if (!(await confirmed(name))) return;
    if (await this.#post(row, "cancel")) this.notice(`${name} was cancelled`);
  }

  async prioritise(row: Row, priority: number): Promise<void> {
    if (await this.#post(row, "priority", { priority })) {
      this.notice(`${namesOf(row.transfer.address).tensor} has priority ${priority} now`);
    }
  }

  /** Says something, for a while. */
  notice(text: string): void {
    setText(by("notice"), text);
    clearTimeout(this.#noticeTimer);
    this.#noticeTimer = Number(setTimeout(() => setText(by("notice"), ""), NOTICE_MS));
  }

  async #post({ link, transfer }: Row, action: string, body?: object): Promise<boolean> {
    const { origin, name } = link;
    if (link.head?.isSteerable === false) {
      this.notice(`${name} was started without a token: nothing can be changed there`);
      return false;
    }
    const url = `${origin}/api/transfers/${transfer.id}/${action}`;
    for (let why = "Changing a transfer needs its node's token."; ; ) {
      if (!this.#tokens.has(origin) && !(await this.#tokens.ask(origin, why))) return false;
      const headers = { ...this.#tokens.headers(origin), "content-type": "application/json" };
      const init = { method: "POST", headers, ...(body && { body: JSON.stringify(body) }) };
      try {
        const response = await fetch(url, init);
        if (response.ok) return true;
        if (response.status !== 401) {
          const { message } = (await response.json()) as { message: string };
          this.notice(`${name}: ${message}`);
          return false;
        }
      } catch {
        this.notice(`${name} did not answer`);
        return false;
      }
      this.#tokens.forget(origin);
      why = "That was not the right one.";
    }
  }
}

function confirmed(what: string): Promise<boolean> {
  const dialog = by("cancel-dialog", HTMLDialogElement);
  setText(by("cancel-what"), what);
  dialog.showModal();
  return new Promise((resolve) => {
    const stop = new AbortController();
    const { signal } = stop;
    const over = (isMeant: boolean) => {
      stop.abort();
      dialog.close();
      resolve(isMeant);
    };
    const submit = (event: Event) => {
      event.preventDefault();
      over(true);
    };
    by("cancel-form").addEventListener("submit", submit, { signal });
    by("cancel-never").addEventListener("click", () => over(false), { signal });
    dialog.addEventListener("cancel", () => over(false), { signal });
  });
}
