// Control messages that are right, for a test to put one thing wrong in them.
import type { Fields } from "./cbor.ts";

/** What a stranger says of itself. */
export const HELLO: Fields = {
  instance: new Uint8Array(16).fill(1),
  node: "stranger",
  role: "mixed",
  codecs: ["deflate"],
  features: [],
  maxChunkBytes: 2 ** 26,
  connectionCredit: 2 ** 40,
  maxTransfers: 1024,
  maxRequests: 4096,
};

/** Sixteen bytes that are different for each number. */
export function idOf(n: number): Uint8Array {
  const id = new Uint8Array(16);
  new DataView(id.buffer).setUint32(0, n);
  return id;
}

/** An address as it travels. */
export const addressOf = (tensor: string): Fields => ({ model: "m", partition: "p", tensor });

/** Everything, as LIST and SUBSCRIBE say it. */
export const EVERYTHING: Fields = { model: "*", partition: "*", tensor: "*" };

/** REQUEST for a tensor. */
export const request = (n: number, tensor: string, other: Fields = {}): Fields => ({
  id: idOf(n),
  epoch: 0,
  address: addressOf(tensor),
  priority: 50,
  digest: "sha256",
  ...other,
});

/** OFFER of bytes. */
export const offer = (
  n: number,
  tensor: string,
  byteLength: number,
  other: Fields = {},
): Fields => ({
  ...request(n, tensor),
  descriptor: { dtype: "U8", shape: [byteLength], byteLength },
  version: Uint8Array.of(1),
  codecs: ["deflate"],
  chunkBytes: 2 ** 20,
  ...other,
});
