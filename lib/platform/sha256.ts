// This module runs in every runtime.
import { builtinModule } from "./builtin.ts";

/**
 * SHA-256 of the concatenation of the parts: synchronous where the runtime has it so, a promise
 * elsewhere. The parts must not change until the digest is there, and the digest belongs to the caller.
 *
 * Source: FIPS 180-4.
 */
export type Sha256 = (parts: readonly Uint8Array[]) => Uint8Array | Promise<Uint8Array>;

/** What is used of `node:crypto`. */
interface NodeCrypto {
  createHash(algorithm: "sha256"): { update(part: Uint8Array): unknown; digest(): Uint8Array };
  hash?(algorithm: "sha256", bytes: Uint8Array, outputEncoding: "buffer"): Uint8Array;
}

/** Synchronous SHA-256 through `node:crypto`, or `undefined` where the runtime does not have it. */
export function createNodeSha256(): Sha256 | undefined {
  const crypto = builtinModule<NodeCrypto>("node:crypto");
  if (crypto === undefined) return undefined;
  return (parts) => {
    const [only] = parts;
    const digest =
      parts.length === 1 && only !== undefined && crypto.hash !== undefined
        ? crypto.hash("sha256", only, "buffer")
        : digestParts(crypto, parts);
    // A plain view, so that nobody downstream meets Node's own subclass.
    return new Uint8Array(digest.buffer, digest.byteOffset, digest.byteLength);
  };
}

function digestParts(crypto: NodeCrypto, parts: readonly Uint8Array[]): Uint8Array {
  const hash = crypto.createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** SHA-256 through WebCrypto, or `undefined` on a page without a secure context. */
export function createWebSha256(): Sha256 | undefined {
  const subtle: SubtleCrypto | undefined = globalThis.crypto?.subtle;
  if (subtle === undefined) return undefined;
  return async (parts) => new Uint8Array(await subtle.digest("SHA-256", joinParts(parts)));
}

/**
 * The parts as one view that WebCrypto takes. Adjacent views of one buffer are joined as they are,
 * everything else is copied; so are shared and resizable buffers, which WebCrypto refuses.
 */
export function joinParts(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const filled = parts.filter((part) => part.byteLength > 0);
  const [first] = filled;
  if (first === undefined) return new Uint8Array(0);
  let byteLength = 0;
  let adjacent = true;
  for (const part of filled) {
    adjacent &&= part.buffer === first.buffer && part.byteOffset === first.byteOffset + byteLength;
    byteLength += part.byteLength;
  }
  if (adjacent && first.buffer instanceof ArrayBuffer && !first.buffer.resizable) {
    return new Uint8Array(first.buffer, first.byteOffset, byteLength);
  }
  const joined = new Uint8Array(byteLength);
  let at = 0;
  for (const part of filled) {
    joined.set(part, at);
    at += part.byteLength;
  }
  return joined;
}

/** SHA-256 in plain JavaScript, loaded when it is first called. */
export const portableSha256: Sha256 = async (parts) => {
  const { sha256: noble } = await import("@noble/hashes/sha2.js");
  const hash = noble.create();
  for (const part of parts) hash.update(part);
  return hash.digest();
};

let chosen: Sha256 | undefined;

/**
 * The fastest SHA-256 that the runtime has, looked for at the first call: `node:crypto`
 * (synchronous), else WebCrypto, else plain JavaScript.
 *
 * @example
 * ```ts
 * import { sha256 } from "headrace";
 *
 * const digest = await sha256([new Uint8Array([1, 2]), new Uint8Array([3])]);
 * console.log(digest.byteLength); // 32
 * ```
 */
export const sha256: Sha256 = (parts) => {
  chosen ??= createNodeSha256() ?? createWebSha256() ?? portableSha256;
  return chosen(parts);
};
