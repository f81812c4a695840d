// Many small named tensors, each of other bytes.
import { contentOf } from "../content.ts";

/** The length of each. */
export const ITEM_BYTES = 4096;
/** A name is padded to this. */
export const NAME_BYTES = 32;

/** The name of the nth tensor. */
export function nameOf(index: number): string {
  return `layer.${index}`.padEnd(NAME_BYTES, ".weight");
}

/** Which tensor has the name. */
export function indexOf(name: string): number {
  return Number.parseInt(name.slice("layer.".length), 10);
}

/** Gives each tensor's bytes: a place of its own in one piece of random memory. */
export function itemsOf(count: number): (index: number) => Uint8Array {
  const stepBytes = 8;
  const content = contentOf("random", ITEM_BYTES + stepBytes * count);
  return (index) => content.subarray(index * stepBytes, index * stepBytes + ITEM_BYTES);
}
