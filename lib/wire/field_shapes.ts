// This module runs in every runtime.
import { DEFAULT_LIMITS } from "../limits.ts";
import { checkAddress, type TensorAddress } from "../tensor/address.ts";
import { createDescriptor, type TensorDescriptor } from "../tensor/descriptor.ts";
import { type DType, isDType } from "../tensor/dtype.ts";
import type { DigestMode } from "./messages.ts";
import { bytes, list, oneOf, passing, record, type Shape, text, whole } from "./shape.ts";

// What several messages hold.
export const u53: Shape<number> = whole();
export const texts = (length: number, most: number): Shape<string[]> => list(text(length), most);
export const id: Shape<Uint8Array> = bytes(16, 16);
export const version: Shape<Uint8Array> = bytes(0, 32);
export const root: Shape<Uint8Array> = bytes(32, 32);
export const digest: Shape<DigestMode> = oneOf("sha256", "none");
export const priority: Shape<number> = whole(0, 255);
const name = text(DEFAULT_LIMITS.maxNameBytes);
export const address: Shape<TensorAddress> = passing(
  record<TensorAddress>({ model: name, partition: name, tensor: name }),
  "an address",
  checkAddress,
);
export const descriptor: Shape<TensorDescriptor> = passing(
  record<TensorDescriptor>({
    dtype: passing(text(32), "a dtype", isDType) as Shape<string> as Shape<DType>,
    shape: list(u53, DEFAULT_LIMITS.maxRank),
    byteLength: u53,
  }),
  "a dtype, shape and byteLength that agree",
  ({ dtype, shape, byteLength }) => createDescriptor(dtype, shape, byteLength),
);
