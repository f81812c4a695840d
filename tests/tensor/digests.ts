// Stand-ins for what the identity vectors were made of; scripts/identity_vectors.py has the same.
import { sha256 } from "../../lib/platform/sha256.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";

/** Digest i is the SHA-256 of i as u32 little-endian. */
export async function countedDigests(leafTotal: number): Promise<Uint8Array[]> {
  const digests: Uint8Array[] = [];
  for (let index = 0; index < leafTotal; index++) {
    digests.push(await sha256([new Uint8Array(Uint32Array.of(index).buffer)]));
  }
  return digests;
}

/** Byte i is the low byte of i xor (i >> 8) xor (i >> 16): no two leaves are equal. */
export function patternBytes(byteLength: number): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  for (let i = 0; i < byteLength; i++) bytes[i] = i ^ (i >> 8) ^ (i >> 16);
  return bytes;
}

/** SHA-256 of each leaf. */
export async function digestLeaves(bytes: Uint8Array): Promise<Uint8Array[]> {
  const digests: Uint8Array[] = [];
  for (let at = 0; at < bytes.byteLength; at += LEAF_BYTES) {
    digests.push(await sha256([bytes.subarray(at, at + LEAF_BYTES)]));
  }
  return digests;
}
