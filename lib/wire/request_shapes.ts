// This module runs in every runtime.
// What the messages of whoever wants a tensor must be to be believed; SPEC.md has the same in words.
import { address, digest, id, priority, u53, version } from "./field_shapes.ts";
import type { Accept, Receipt, Request } from "./messages.ts";
import { flag, list, optional, passing, record, type Shape } from "./shape.ts";

// Whether the tensor has such a part is for whoever answers: it refuses the request, not the peer.
const span = list(u53, 2, 2) as Shape<unknown> as Shape<readonly [number, number]>;

/** REQUEST's message. */
export const requestShape: Shape<Request> = passing(
  record<Request>({
    id,
    epoch: u53,
    address,
    priority,
    digest,
    version: optional(version),
    bytes: optional(span),
    rows: optional(span),
  }),
  "not bytes and rows at once",
  ({ bytes, rows }) => !bytes || !rows,
);

/** ACCEPT's message. */
export const acceptShape: Shape<Accept> = record<Accept>({ limit: u53 });

/** RECEIPT's message. */
export const receiptShape: Shape<Receipt> = record<Receipt>({ complete: flag });
