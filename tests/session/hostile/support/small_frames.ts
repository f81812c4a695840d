// TENSOR and REQUESTS, as SPEC.md has them.
import { xxh32 } from "../../../../lib/wire/xxh32.ts";
import { join } from "./cbor.ts";
import { checked, frame, le, TYPE } from "./frames.ts";

const encoder = new TextEncoder();

/** Model, partition, tensor. */
export type Names = readonly [string, string, string];

/** What a TENSOR frame says; left out, that is true of U8 data that answers a request. */
export interface TensorSaid {
  readonly dtype?: number;
  readonly shape?: readonly (number | bigint)[];
  readonly version?: Uint8Array;
  readonly bits?: number;
  readonly headBytes?: number;
  readonly byteLength?: number;
  readonly dataBytes?: number;
  readonly checksum?: number;
  readonly codec?: number;
  readonly digest?: Uint8Array;
  readonly push?: { readonly id: Uint8Array; readonly names: Names; readonly epoch?: number };
}

/** TENSOR. */
export function tensor(stream: number, data: Uint8Array, said: TensorSaid = {}): Uint8Array {
  const { dtype = 14, shape = [data.byteLength], version = new Uint8Array(), digest, push } = said;
  const { byteLength = data.byteLength, dataBytes = data.byteLength, codec = 0 } = said;
  const { bits = (digest ? 1 : 0) | (push ? 2 : 0), checksum = xxh32(data) } = said;
  const names = push?.names.map((name) => encoder.encode(name)) ?? [];
  const said_ = push
    ? [push.id, le(8, push.epoch ?? 0), Uint8Array.of(50), ...names.map((n) => le(2, n.length))]
    : [];
  const dimensions = shape.map((size) => le(8, size));
  const rest = join(...dimensions, version, digest ?? new Uint8Array(), ...said_, ...names);
  const { headBytes = 24 + rest.byteLength + 4 } = said;
  const head = join(
    Uint8Array.of(dtype, shape.length, version.byteLength, bits),
    ...[headBytes, byteLength, dataBytes, checksum, codec].map((n) => le(4, n)),
    rest,
  );
  return frame(TYPE.tensor, stream, join(head, le(4, xxh32(head, 0x74656e73)), data));
}

/** REQUESTS, as many entries as are named unless another number is said. */
export function requests(
  stream: number,
  entries: readonly Names[],
  said: { readonly count?: number; readonly mode?: number } = {},
): Uint8Array {
  const { count = entries.length, mode = 1 } = said;
  const bodies = entries.map((names) => {
    const all = names.map((name) => encoder.encode(name));
    return join(...all.map((name) => le(2, name.byteLength)), ...all);
  });
  const body = join(Uint8Array.of(mode, 50), le(2, count), ...bodies);
  return checked(TYPE.requests, stream, body);
}
