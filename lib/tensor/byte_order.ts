// This module runs in every runtime.

/**
 * Makes sure that this machine keeps numbers as tensors do, little-endian, before typed arrays are
 * taken for tensors' bytes. Every machine that JavaScript runs on today does.
 *
 * @param one How the machine keeps a 16-bit 1.
 * @throws {TypeError} on a big-endian machine, which is not supported.
 */
export function checkByteOrder(one: Uint8Array = new Uint8Array(Uint16Array.of(1).buffer)): void {
  if (one[0] === 1) return;
  throw new TypeError(
    "Tensors are little-endian, but this machine keeps numbers big-endian: pass bytes, not arrays",
  );
}
