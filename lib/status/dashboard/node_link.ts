// This module runs in every runtime.
import type { TransferSnapshot } from "../../session/transfer_snapshot.ts";
import type { NodeHead } from "../node_status.ts";
import type { StatusEvent } from "../status_feed.ts";
import type { Tokens } from "./tokens.ts";

/** How the way to a node is. */
export type LinkState = "connecting" | "live" | "lost";

const LEAST_PAUSE_MS = 1000;
const MOST_PAUSE_MS = 10_000;

/** What a node shows, kept up to date by its events; after a cut it comes back by itself. */
export class NodeLink {
  readonly origin: string;
  /** By `ID/DIRECTION`, in the order in which they began to be shown. */
  readonly transfers: Map<string, TransferSnapshot> = new Map();
  state: LinkState = "connecting";
  head: NodeHead | undefined;
  /** Bytes a second that its connections take in and give out. */
  inPerSecond = 0;
  outPerSecond = 0;
  readonly #tokens: Tokens;
  readonly #onChange: () => void;

  constructor(origin: string, tokens: Tokens, onChange: () => void) {
    this.origin = origin;
    this.#tokens = tokens;
    this.#onChange = onChange;
  }

  /** What it calls itself, or where it is. */
  get name(): string {
    return this.head?.node ?? new URL(this.origin).host;
  }

  /** Follows the node for ever. */
  async follow(): Promise<never> {
    let pauseMs = LEAST_PAUSE_MS;
    for (;;) {
      try {
        const response = await this.#open();
        if (response.ok) {
          pauseMs = LEAST_PAUSE_MS;
          await this.#read(response);
        } else await response.body?.cancel();
      } catch {
        // It is gone, or not there yet: that is shown, and it is tried again.
      }
      this.state = "lost";
      this.inPerSecond = 0;
      this.outPerSecond = 0;
      this.#onChange();
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      pauseMs = Math.min(MOST_PAUSE_MS, 2 * pauseMs);
    }
  }

  /** Asks, and asks for the token if even looking needs one. */
  async #open(): Promise<Response> {
    const url = `${this.origin}/api/events`;
    for (let why = "This node is shown to those who have its token."; ; ) {
      const response = await fetch(url, { headers: this.#tokens.headers(this.origin) });
      if (response.status !== 401) return response;
      await response.body?.cancel();
      this.#tokens.forget(this.origin);
      if (!(await this.#tokens.ask(this.origin, why))) return response;
      why = "That was not the right one.";
    }
  }

  async #read({ body }: Response): Promise<void> {
    const utf8 = new TextDecoder();
    const reader = body?.getReader();
    let pieces: string[] = [];
    for (let next = await reader?.read(); next?.value; next = await reader?.read()) {
      const text = utf8.decode(next.value, { stream: true });
      pieces.push(text);
      if (!text.includes("\n\n") && !(text.startsWith("\n") && pieces.length > 1)) continue;
      const events = pieces.join("").split("\n\n");
      pieces = [events.pop() ?? ""];
      for (const event of events) this.#take(event);
    }
  }

  #take(event: string): void {
    const data = /^data: (.*)$/m.exec(event)?.[1];
    if (data === undefined) return;
    const { isFull, transfers, gone, ...head } = JSON.parse(data) as StatusEvent;
    if (isFull) this.transfers.clear();
    for (const key of gone) this.transfers.delete(key);
    for (const one of transfers) this.transfers.set(`${one.id}/${one.direction}`, one);
    this.#measure(isFull ? undefined : this.head, head);
    this.head = head;
    this.state = "live";
    this.#onChange();
  }

  #measure(before: NodeHead | undefined, now: NodeHead): void {
    const ms = now.uptimeMs - (before?.uptimeMs ?? Number.POSITIVE_INFINITY);
    const rate = (bytesOf: (totals: NodeHead["totals"]) => number) =>
      before && ms > 0
        ? Math.max(0, ((bytesOf(now.totals) - bytesOf(before.totals)) * 1000) / ms)
        : 0;
    this.inPerSecond = rate(({ receivedBytes }) => receivedBytes);
    this.outPerSecond = rate(({ sentBytes, responses }) => sentBytes + responses.bytes);
  }
}
