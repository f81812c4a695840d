// This module runs in every runtime.
import { News } from "../deferred.ts";
import type { MessageHeader } from "./message.ts";

/** Something that came, and how its data is had. */
export interface Arrival {
  readonly header: MessageHeader;
  /** Where it is a tensor: under what id a streaming program reads it. */
  readonly streamID?: string | undefined;
  /** @throws when the rest of it does not come. */
  readonly data: () => Promise<Uint8Array>;
}

/** What came, in order, until somebody takes it. */
export class Inbox {
  readonly #arrivals: Arrival[] = [];
  readonly #news = new News();
  #end: { readonly error: unknown } | undefined;

  put(arrival: Arrival): void {
    this.#arrivals.push(arrival);
    this.#news.tell();
  }

  /**
   * The next arrival that is wanted; those that are not stay for others. `undefined` when none comes
   * any more.
   */
  async take(isWanted: (arrival: Arrival) => boolean = () => true): Promise<Arrival | undefined> {
    for (;;) {
      const at = this.#arrivals.findIndex(isWanted);
      const [arrival] = at < 0 ? [] : this.#arrivals.splice(at, 1);
      if (arrival) return arrival;
      if (this.#end?.error) throw this.#end.error;
      if (this.#end) return undefined;
      await this.#news.wait();
    }
  }

  /** Nothing comes any more, for a reason or because all is said; what is here can still be taken. */
  end(error?: unknown): void {
    this.#end ??= { error };
    this.#news.tell();
  }
}
