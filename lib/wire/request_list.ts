// This module runs in every runtime.
import { ProtocolError } from "../errors.ts";
import { checkAddress, type TensorAddress } from "../tensor/address.ts";
import type { DigestMode } from "./messages.ts";
import { viewOf } from "./u64.ts";

const FIXED_BYTES = 4;
/** In place of a model's length: model and partition are those of the entry before. */
const SAME = 0xffff;
const MAX_ENTRIES = 0xffff;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Many small requests in one frame; each entry has a stream of its own, two apart. */
export interface RequestList {
  readonly digest: DigestMode;
  readonly priority: number;
  readonly addresses: readonly TensorAddress[];
}

/**
 * Writes as many requests as fit into `maxBytes`, and says how many those are.
 *
 * @throws {RangeError} when not even one does.
 */
export function encodeRequestList(
  list: RequestList,
  from: number,
  maxBytes: number,
): { readonly body: Uint8Array; readonly count: number } {
  const body = new Uint8Array(maxBytes);
  const view = viewOf(body);
  let at = FIXED_BYTES;
  let next = from;
  for (; next < list.addresses.length && next - from < MAX_ENTRIES; next++) {
    const before = next > from ? list.addresses[next - 1] : undefined;
    const end = writeEntry(body, at, list.addresses[next] as TensorAddress, before);
    if (end === undefined) break;
    at = end;
  }
  if (next === from) {
    throw new RangeError(`A list of requests of at most ${maxBytes} bytes has no place for any`);
  }
  view.setUint8(0, list.digest === "sha256" ? 1 : 0);
  view.setUint8(1, list.priority);
  view.setUint16(2, next - from, true);
  return { body: body.subarray(0, at), count: next - from };
}

/** Where the entry that was written ends; `undefined` when there is no place for all of it. */
function writeEntry(
  body: Uint8Array,
  at: number,
  { model, partition, tensor }: TensorAddress,
  before: TensorAddress | undefined,
): number | undefined {
  const isSame = before?.model === model && before.partition === partition;
  const names = isSame ? [tensor] : [model, partition, tensor];
  const fields = isSame ? [SAME] : [];
  let end = at + 2 * (fields.length + names.length);
  if (end > body.byteLength) return undefined;
  for (const name of names) {
    const { read, written } = encoder.encodeInto(name, body.subarray(end));
    if (read < name.length) return undefined;
    fields.push(written);
    end += written;
  }
  const view = viewOf(body);
  for (const [n, field] of fields.entries()) view.setUint16(at + 2 * n, field, true);
  return end;
}

/** @throws {ProtocolError} for a body that is not a list of requests. */
export function decodeRequestList(body: Uint8Array): RequestList {
  const view = viewOf(body);
  const isWhole = body.byteLength >= FIXED_BYTES && view.getUint8(0) <= 1;
  const count = isWhole ? view.getUint16(2, true) : 0;
  if (count === 0) throw new ProtocolError("The peer sent a list of no requests");
  const addresses: TensorAddress[] = [];
  let at = FIXED_BYTES;
  const u16 = (): number => {
    if (at + 2 > body.byteLength) throw new ProtocolError("The peer sent a list that ends early");
    at += 2;
    return view.getUint16(at - 2, true);
  };
  const text = (length: number): string => {
    if (at + length > body.byteLength) {
      throw new ProtocolError("The peer sent a list of requests that ends inside a name");
    }
    at += length;
    return decoder.decode(body.subarray(at - length, at));
  };
  try {
    while (addresses.length < count) {
      const first = u16();
      const before = addresses.at(-1);
      if (first === SAME) {
        if (!before) throw new ProtocolError("The peer sent a list that begins with a repeat");
        const tensor = text(u16());
        addresses.push(checkAddress({ model: before.model, partition: before.partition, tensor }));
      } else {
        const [second, third] = [u16(), u16()];
        const [model, partition, tensor] = [text(first), text(second), text(third)];
        addresses.push(checkAddress({ model, partition, tensor }));
      }
    }
  } catch (cause) {
    if (cause instanceof ProtocolError) throw cause;
    throw new ProtocolError("The peer asked for a tensor whose name cannot be", { cause });
  }
  if (at !== body.byteLength) throw new ProtocolError("The peer sent a list that goes on");
  return {
    digest: view.getUint8(0) === 1 ? "sha256" : "none",
    priority: view.getUint8(1),
    addresses,
  };
}
