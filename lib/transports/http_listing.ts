// This module runs in every runtime.

import { NotFoundError } from "../errors.ts";
import { type AddressPattern, parsePattern } from "../tensor/address.ts";
import { toHex } from "../tensor/bytes.ts";
import type { StoreEntry, TensorStore } from "../tensor/source.ts";
import { faultOf } from "../wire/fault.ts";
import type { BodyWatch } from "./http_body.ts";

const utf8 = new TextEncoder();

/** Text that is given at once. */
const PAGE_CHARS = 16 * 1024;

/** The names of a store's models, `{"models":[...]}`. */
export function modelsBodyOf(
  store: TensorStore,
  onError?: BodyWatch["onError"],
): ReadableStream<Uint8Array> {
  return jsonListOf("models", modelsOf(store), onError);
}

async function* modelsOf(store: TensorStore): AsyncGenerator<string, void, undefined> {
  const seen = new Set<string>();
  for await (const { address } of store.list(parsePattern(""))) {
    if (seen.has(address.model)) continue;
    seen.add(address.model);
    yield address.model;
  }
}

/**
 * What a model, or one partition of it, holds: `{"tensors":[...]}`.
 *
 * @throws {NotFoundError} when that is nothing.
 */
export async function tensorsBodyOf(
  store: TensorStore,
  pattern: AddressPattern,
  onError?: BodyWatch["onError"],
): Promise<ReadableStream<Uint8Array>> {
  const entries = store.list(pattern)[Symbol.asyncIterator]();
  const first = await entries.next();
  if (first.done) throw new NotFoundError("Nothing lives there");
  return jsonListOf("tensors", tensorsOf(first.value, entries), onError);
}

async function* tensorsOf(first: StoreEntry, rest: AsyncIterator<StoreEntry>) {
  yield itemOf(first);
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield itemOf(next.value);
}

const itemOf = ({ address, descriptor, version }: StoreEntry) => ({
  partition: address.partition,
  tensor: address.tensor,
  dtype: descriptor.dtype,
  shape: descriptor.shape,
  byteLength: descriptor.byteLength,
  version: toHex(version),
});

/**
 * A JSON object of one list, an item a line: neither end needs more of it in memory than it works
 * with. What fails amid it stands beside the list as `error`, since the answer has begun by then.
 */
function jsonListOf(
  name: string,
  items: AsyncIterator<unknown>,
  onError: BodyWatch["onError"],
): ReadableStream<Uint8Array> {
  let text = `{"${name}":[`;
  let isFirst = true;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        let isOver = false;
        try {
          while (!isOver && text.length < PAGE_CHARS) {
            const next = await items.next();
            isOver = next.done ?? false;
            text += isOver ? "\n]}\n" : `${isFirst ? "" : ","}\n${JSON.stringify(next.value)}`;
            isFirst = false;
          }
        } catch (error) {
          isOver = true;
          onError?.(error);
          text += `\n],"error":${JSON.stringify(faultOf(error))}}\n`;
        }
        controller.enqueue(utf8.encode(text));
        text = "";
        if (isOver) controller.close();
      },
      async cancel() {
        await items.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}
