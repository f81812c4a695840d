// This module runs in every runtime.
import { LimitError } from "../errors.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import { type PartBytes, partBytes, type TensorPart } from "../tensor/part.ts";

/**
 * Where in a tensor the part lies that was asked for; `undefined` for all of it.
 *
 * @throws {LimitError} for a part that the tensor does not have.
 */
export function askedPart(descriptor: TensorDescriptor, part: TensorPart): PartBytes | undefined {
  try {
    return partBytes(descriptor, part);
  } catch (cause) {
    throw new LimitError(cause instanceof Error ? cause.message : "No such part", { cause });
  }
}
