// This module runs in every runtime.
import { type Deferred, deferred } from "../deferred.ts";
import { LimitError, NotFoundError, RemoteError } from "../errors.ts";
import { sourceOf } from "../session/tensor_input.ts";
import type { TensorAddress } from "../tensor/address.ts";
import type { TensorSource, TensorStore } from "../tensor/source.ts";
import type { TypedArray } from "../tensor/typed_array.ts";

/** Requests that may wait for the program's answer. */
const MOST_ASKED = 1024;

/** A store without tensors of its own: each request is put to the program, which answers it. */
export class AskedStore implements TensorStore {
  readonly #ask: (messageID: number, address: TensorAddress) => void;
  readonly #nextID: () => number;
  readonly #asked = new Map<number, Deferred<TensorSource>>();

  constructor(nextID: () => number, ask: (messageID: number, address: TensorAddress) => void) {
    this.#nextID = nextID;
    this.#ask = ask;
  }

  async *list(): AsyncGenerator<never> {}

  async open(address: TensorAddress): Promise<TensorSource> {
    if (this.#asked.size >= MOST_ASKED) {
      throw new LimitError(`${MOST_ASKED} requests wait for an answer`, { retryable: true });
    }
    const messageID = this.#nextID();
    const answer = deferred<TensorSource>();
    this.#asked.set(messageID, answer);
    this.#ask(messageID, address);
    return answer.promise;
  }

  /** @throws {NotFoundError} when no such request waits. */
  answer(messageID: number, data: TypedArray): void {
    this.#take(messageID).resolve(sourceOf(data));
  }

  /** @throws {NotFoundError} when no such request waits. */
  refuse(messageID: number, code: number, text: string): void {
    this.#take(messageID).reject(new RemoteError(String(code), text));
  }

  /** Nobody answers any more. */
  end(reason: unknown): void {
    for (const answer of this.#asked.values()) answer.reject(reason);
    this.#asked.clear();
  }

  #take(messageID: number): Deferred<TensorSource> {
    const answer = this.#asked.get(messageID);
    if (!answer) throw new NotFoundError(`No request ${messageID} waits for an answer`);
    this.#asked.delete(messageID);
    return answer;
  }
}
