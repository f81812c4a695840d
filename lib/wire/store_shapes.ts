// This module runs in every runtime.
// What the messages about a store must be to be believed; SPEC.md has the same in words.
import { DEFAULT_LIMITS } from "../limits.ts";
import { type AddressPattern, parsePattern } from "../tensor/address.ts";
import { address, descriptor, u53, version } from "./field_shapes.ts";
import type { List, Notify, Subscribe } from "./messages.ts";
import { flag, oneOf, optional, passing, record, type Shape, text } from "./shape.ts";

// Each byte of a name may be escaped, as %2F.
const patternName = text(3 * DEFAULT_LIMITS.maxNameBytes, 1);
const pattern: Shape<AddressPattern> = passing(
  record<AddressPattern>({ model: patternName, partition: patternName, tensor: patternName }),
  "a pattern",
  ({ model, partition, tensor }) => parsePattern(`${model}/${partition}/${tensor}`),
);

/** LIST's message. */
export const listShape: Shape<List> = record<List>({ pattern, roots: flag });

/** SUBSCRIBE's message. */
export const subscribeShape: Shape<Subscribe> = record<Subscribe>({ pattern, initial: flag });

/** NOTIFY's message. */
export const notifyShape: Shape<Notify> = passing(
  record<Notify>({
    kind: oneOf("here", "changed", "gone"),
    change: u53,
    address,
    descriptor: optional(descriptor),
    version: optional(version),
  }),
  "a descriptor and a version of what is there, neither of what is gone",
  ({ kind, descriptor, version }) =>
    [descriptor, version].every((field) => (field === undefined) === (kind === "gone")),
);
